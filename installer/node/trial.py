"""A new kernel on trial: started once while the old one stays the default, and promoted when the node is well."""

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from installer.node import kernels, steps
from installer.node.merging import slurp
from installer.node.process import run
from installer.node.site import Site

_MENU = "boot/grub/grub.cfg"
_DELAY = 3  # seconds


def try_once(site: Site, plan: Dict[str, Any], changed: Sequence[bytes]) -> Tuple[bool, List[str]]:
    """Have the version's kernel started once, if it is new here. Returns (it waits for a reboot, what to say)."""
    new = kernels.to_try([each["version"] for each in plan.get("kernels", ())], site.kernel, changed)
    if not new:
        return False, []
    text = slurp(os.fsencode(os.path.join(site.root, _MENU)))
    change = kernels.switch((text or b"").decode("utf-8", "replace"), site.kernel, new)
    if change.pending:  # before the commands: a start with the new kernel must be known as one
        raw = kernels.format_pending(change.pending).encode("utf-8")
        steps.write_atomically(os.path.join(site.state, "pending-kernel"), raw, 0o600)
    for command in change.commands:
        run(_inside(site) + command, site.say)
    return True, [change.fault] if change.fault else []


def read_pending(state: str) -> Optional[kernels.Pending]:
    """The kernel that waits for its first start, if one does."""
    text = slurp(os.fsencode(os.path.join(state, "pending-kernel")))
    return kernels.parse_pending(text.decode("utf-8", "replace")) if text is not None else None


def promote(site: Site) -> kernels.Verdict:
    """The node is up and well: the kernel that was on trial becomes the default. Idempotent."""
    verdict = kernels.judge(read_pending(site.state), site.kernel)
    if verdict.default:
        run(_inside(site) + ("grub-set-default", verdict.default), site.say)
    if verdict.clear:
        os.unlink(os.path.join(site.state, "pending-kernel"))
    return verdict


def restart(how: str, kernel: Optional[Dict[str, str]], has_systemd: bool, has_kexec: bool) -> List[Tuple[str, ...]]:
    """The commands for ``--reboot``; none for ``never``. A kexec that is not there is a cold one. Pure.

    The last one only asks for it and ends: whoever started the update by ssh or from a unit still gets its answer.
    ``kernel`` is the first of the plan's: {"version", "image", "initrd"}. kexec(8) starts it past the firmware.
    """
    if how == "never":
        return []
    if how == "kexec" and has_kexec and kernel is not None:
        load = ("kexec", "--load", kernel["image"], "--initrd=" + kernel["initrd"], "--reuse-cmdline")
        return [load, soon(("systemctl", "kexec") if has_systemd else ("kexec", "--exec"), has_systemd)]
    return [soon(("systemctl", "reboot") if has_systemd else ("reboot",), has_systemd)]


def soon(argv: Tuple[str, ...], has_systemd: bool) -> Tuple[str, ...]:
    """Some seconds from now. A timer of systemd's, because it ends what a unit or a login leaves behind."""
    if has_systemd:
        return ("systemd-run", "--on-active={}".format(_DELAY), "--timer-property=AccuracySec=100ms") + argv
    line = 'setsid sh -c \'sleep {}; exec "$@"\' sh "$@" </dev/null >/dev/null 2>&1 &'.format(_DELAY)
    return ("sh", "-c", line, "sh") + argv


def _inside(site: Site) -> Tuple[str, ...]:
    return () if site.root == "/" else ("chroot", site.root)
