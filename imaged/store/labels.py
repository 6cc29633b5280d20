"""Whether a tree has the SELinux labels that its own configuration asks for."""

import errno
import os
import re
from collections.abc import Iterator

from imaged.store.tree import Tree

_CONFIG = "/etc/selinux/config"
_LABELLED = (_CONFIG, "/etc/passwd", "/etc", "/usr")  # every policy has something to say of these
_NONE = (errno.ENODATA, errno.EOPNOTSUPP)


def lost(tree: Tree) -> Iterator[str]:
    """What to warn of: a system that would enforce a policy on files without labels does not even start to relabel
    them (RHEL 8.4 and later, rear/rear#2716), and an install labels only what it writes itself."""
    mode = re.search(r"(?m)^\s*SELINUX\s*=\s*(enforcing|permissive)\b", tree.text(_CONFIG))
    if mode and not any(_has_label(tree, path) for path in _LABELLED):
        yield (
            f"SELinux is {mode[1]} in it and no file has a label (security.selinux): nodes would not start; look "
            "whether the golden client's own files have some (ls -Z)"
        )


def _has_label(tree: Tree, path: str) -> bool:
    at = tree.locate(path)
    if at is None or not at.exists():
        return False
    try:
        return bool(os.getxattr(at, "security.selinux"))
    except OSError as error:
        if error.errno in _NONE:
            return False
        raise
