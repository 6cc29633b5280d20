"""SELinux labels of the files that are the node's own. Those of the image came with it (rsync -X)."""

import re

from imaged.model.plan import RunInTarget, Step
from imaged.planning.fixups.target import Target

CONFIG = "/etc/selinux/config"
# Where fixups, boot loaders and package tools write. /.autorelabel is no way out: releases since RHEL 8.4 do not even
# come so far as to relabel themselves (rear/rear#2716).
_OURS = ("/boot", "/etc", "/root", "/usr/lib/imaged", "/usr/sbin/imaged", "/var/lib/cloud", "/var/lib/imaged")


_NOT_OURS = ("/dev", "/proc", "/run", "/sys", "/tmp")


def selinux_labels(target: Target) -> tuple[Step, ...]:
    """setfiles(8) of the image, with its own policy, which also works where the running kernel has SELinux off. Where
    the labels of an image were lost on its way to us, all are made here."""
    said = dict(re.findall(r"(?m)^\s*(SELINUX|SELINUXTYPE)\s*=\s*(\w+)", target.facts.texts.get(CONFIG, "")))
    if said.get("SELINUX") not in ("enforcing", "permissive") or "setfiles" not in target.facts.commands:
        return ()
    policy = f"/etc/selinux/{said.get('SELINUXTYPE', 'targeted')}/contexts/files/file_contexts"
    # -i: paths that an image lacks are no fault
    if target.facts.labelled is not False:
        return (RunInTarget(("setfiles", "-F", "-i", policy, *_OURS), reason="labels of the node's own files"),)
    without = (word for path in _NOT_OURS for word in ("-e", path))
    argv = ("setfiles", "-F", *without, policy, "/")
    return (RunInTarget(argv, timeout=3600, reason="labels of all files: the image came without"),)
