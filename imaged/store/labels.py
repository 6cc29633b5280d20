"""Whether a tree has the SELinux labels that its own configuration asks for."""

import errno
import os
import re

from imaged.store.tree import Tree

_CONFIG = "/etc/selinux/config"
_LABELLED = (_CONFIG, "/etc/passwd", "/etc", "/usr")  # every policy has something to say of these
_NONE = (errno.ENODATA, errno.EOPNOTSUPP)


def labelled(tree: Tree) -> bool | None:
    """None where nothing asks for labels."""
    if not re.search(r"(?m)^\s*SELINUX\s*=\s*(enforcing|permissive)\b", tree.text(_CONFIG)):
        return None
    return any(_has_label(tree, path) for path in _LABELLED)


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
