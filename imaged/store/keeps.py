"""Whether a filesystem keeps what files of an image have beside their content. It is tried, not looked up: what NFS, a
container's overlay or a mount option leaves of it, no list knows."""

import errno
import os
import struct
import tempfile
from pathlib import Path

from imaged.model.errors import Conflict

# struct vfs_cap_data (linux/capability.h) with cap_net_raw, as on ping; an ACL that names a user, as
# linux/posix_acl_xattr.h has it.
_CAPABILITY = struct.pack("<5I", 0x02000000, 1 << 13, 0, 0, 0)
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, mode, who) for tag, mode, who in (
        (0x01, 6, 2**32 - 1), (0x02, 4, 0), (0x04, 4, 2**32 - 1), (0x10, 4, 2**32 - 1), (0x20, 4, 2**32 - 1),
    )
)  # fmt: skip
_TRIED = (
    ("user.imaged", b"1", "extended attributes of users"),
    ("security.capability", _CAPABILITY, "file capabilities and security labels"),
    ("system.posix_acl_access", _ACL, "ACLs"),
)


def refuse_lossy(directory: Path) -> None:
    """Raises Conflict that names all that would be lost there. Who may not set an attribute at all learns nothing."""
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".keeps-") as file:
        lost = [what for name, value, what in _TRIED if not _kept(file.fileno(), name, value)]
    if lost:
        what = f"its filesystem does not keep {', '.join(lost)}: images would lose them without a word"
        hint = "Put the state directory on ext4, XFS or btrfs (`state:` in imaged.yaml)."
        raise Conflict(what, where=str(directory), hint=hint)


def _kept(descriptor: int, name: str, value: bytes) -> bool:
    try:
        os.setxattr(descriptor, name, value)
        return os.getxattr(descriptor, name) == value
    except OSError as error:
        return error.errno not in (errno.EOPNOTSUPP, errno.ENODATA)
