"""Attributes of one inode as the manifest has them: owner, mode, extended attributes, time. Their order is a rule."""

import errno
import os
import stat

from installer.node.manifest import Entry

# Labels and measurements that the node's own policy gives: taken from the manifest if it has them, else left alone.
LOCAL_XATTRS = frozenset(("security.selinux", "security.ima", "security.evm", "security.SMACK64"))
# XFS shows POSIX ACLs a second time, in the form that it has on the disk. Sealing passes over them (imaged.store.seal),
# and to remove one would remove the ACL.
ACLS_OF_XFS = frozenset(("trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"))
_UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP)


def dress(fd: int, name: bytes, entry: Entry, time: bool = True) -> None:
    """Give ``name`` in the open directory its attributes. chown(2) clears set-user-id and capabilities, chmod(2) writes
    the mask of an ACL, and both move nothing that utime(2) sets: hence owner, mode, xattrs, time.

    Raises OSError. The inode is opened once without following a link, so nobody can put another in its place meanwhile.
    """
    if entry.kind == "link":
        at = b"/proc/self/fd/%d/%s" % (fd, name)
        os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        _xattrs(at, entry, False)
        if time:
            os.utime(name, ns=(entry.time, entry.time), dir_fd=fd, follow_symlinks=False)
        return
    inode = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        status = os.fstat(inode)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, "became a symbolic link", os.fsdecode(name))
        at = b"/proc/self/fd/%d" % inode
        if (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
            os.chown(at, entry.uid, entry.gid)
        os.chmod(at, entry.mode)
        _xattrs(at, entry, True)
        if time:
            os.utime(at, ns=(entry.time, entry.time))
    finally:
        os.close(inode)


def dress_coarsely(fd: int, name: bytes, entry: Entry) -> None:
    """Where the filesystem knows no owners, modes and attributes (it refuses most): the time. Raises OSError."""
    os.utime(name, ns=(entry.time, entry.time), dir_fd=fd, follow_symlinks=False)


def _xattrs(at: bytes, entry: Entry, follow: bool) -> None:
    wanted = {_name(name): value for name, value in entry.xattrs}
    try:
        have = os.listxattr(at, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _UNSUPPORTED and not wanted:
            return
        raise
    for name in have:
        if name not in wanted and name not in LOCAL_XATTRS and name not in ACLS_OF_XFS:
            os.removexattr(at, name, follow_symlinks=follow)
    for name, value in wanted.items():
        if name not in have or os.getxattr(at, name, follow_symlinks=follow) != value:
            os.setxattr(at, name, value, follow_symlinks=follow)


def _name(name: bytes) -> str:
    return os.fsdecode(name)
