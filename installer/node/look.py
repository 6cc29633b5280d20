"""How a path of the tree is looked at more closely than lstat does. Nothing here follows the last symbolic link."""

import errno
import os
from typing import Tuple

from installer.node import hashed
from installer.node.compare import Look
from installer.node.dress import ACLS_OF_XFS

_UNSUPPORTED = frozenset((errno.ENOTSUP, errno.EOPNOTSUPP))


def at(fd: int) -> Look:
    """For paths below the open directory ``fd``."""
    top = b"/proc/self/fd/%d/" % fd  # the calls for attributes know no directory to start from

    def link(path: bytes) -> bytes:
        return os.fsencode(os.readlink(path, dir_fd=fd))

    def xattrs(path: bytes) -> Tuple[Tuple[bytes, bytes], ...]:
        try:
            names = os.listxattr(top + path, follow_symlinks=False)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return ()
            raise
        kept = [name for name in names if name not in ACLS_OF_XFS]
        return tuple((os.fsencode(name), os.getxattr(top + path, name, follow_symlinks=False)) for name in kept)

    def sha256(path: bytes) -> str:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        try:
            return hashed.sha256(descriptor)
        finally:
            os.close(descriptor)

    return Look(link, xattrs, sha256)
