"""Puts staged contents and the manifest's attributes into the tree, one rename(2) a path, in the order of ``actions``.

At any moment a path is wholly old or wholly new; the tree as a whole is in between for as long as this runs. A node
that loses its power here boots: kernels are only added, libraries change in one batch, and nothing was deleted yet.
"""

import errno
import os
import stat
from typing import Callable, Dict, Iterable, List, Sequence, Set, Tuple

from installer.node.actions import ADD, ATTRIBUTES, CHANGE, DELETE, Action, ordered, tree_order
from installer.node.dress import dress, dress_coarsely
from installer.node.errors import Failed, Refused
from installer.node.manifest import Entry
from installer.node.place import Place, exchange, remove_tree
from installer.node.stage import Stage

Dress = Callable[[int, bytes, Entry], None]
_TYPES = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}


class Applied(object):
    """What was done: directories that could not go since something of the node's own is in them."""

    def __init__(self) -> None:
        self.kept: List[bytes] = []


def obstacles(place: Place, actions: Iterable[Action], protected: Callable[[bytes], bool]) -> None:
    """Raises Refused, before the first write, where a directory must give way and holds what must stay."""
    for action in actions:
        if action.verb != CHANGE or action.was != "dir" or action.entry is None or action.entry.kind == "dir":
            continue
        device = os.lstat(place.full(action.path)).st_dev
        for path, status in place.walk(action.path):
            if status.st_dev != device or protected(path):
                what = "is protected" if status.st_dev == device else "is another filesystem"
                raise Refused(
                    "the image has no directory here any more, and {} in it {}".format(_shown(path), what),
                    where=_shown(action.path), hint="Move it away by hand.",
                )  # fmt: skip


def apply(
    place: Place, stage: Stage, actions: Iterable[Action], leading: Dict[Tuple[str, int], bytes],
    coarse: Callable[[bytes], bool],
) -> Applied:  # fmt: skip
    """Carry ``actions`` out in their safe order. Raises Failed that names the path.

    ``leading`` are the names under which hard-link groups already have their inode. ``coarse``: whether a path is on a
    filesystem that knows no owners and modes.
    """
    applied = Applied()
    leaders = dict(leading)
    for action in ordered(actions):
        wear: Dress = dress_coarsely if coarse(action.path) else dress
        try:
            if action.verb == DELETE:
                _delete(place, action.path, applied)
            elif action.entry is None:
                raise Failed("has no entry", where=_shown(action.path))
            elif action.verb == ATTRIBUTES:
                _dress(place, action.path, action.entry)
            elif action.entry.kind == "dir":
                _directory(place, stage, action, wear)
            else:
                _put(place, stage, action, action.entry, leaders, wear)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "the disk is full" if full else error.strerror or str(error)
            # Root is refused by flags only, which no comparison of trees shows.
            hint = "See `lsattr`: chattr -i and -a take such flags away." if error.errno == errno.EPERM else ""
            raise Failed(what, where=_shown(action.path), hint=hint) from None
    return applied


def settle(place: Place, entries: Iterable[Entry]) -> None:
    """Times of directories, after everything that moves them. What is no directory any more is passed over."""
    for entry in sorted(entries, key=lambda each: tree_order(each.path), reverse=True):
        status = os.lstat(place.root) if entry.path == b"." else place.lstat(entry.path)
        if status is None or not stat.S_ISDIR(status.st_mode) or status.st_mtime_ns == entry.time:
            continue
        fd = place.directory(entry.path)
        try:
            os.utime(fd, ns=(entry.time, entry.time))
        finally:
            os.close(fd)


def touched(actions: Iterable[Action]) -> Set[bytes]:
    """Directories whose time moves when ``actions`` are carried out."""
    found: Set[bytes] = set()
    for action in actions:
        if action.entry is not None and action.entry.kind == "dir":
            found.add(action.path)
        if action.verb != ATTRIBUTES:
            found.add(action.path.rpartition(b"/")[0] or b".")
    return found


def _dress(place: Place, path: bytes, entry: Entry) -> None:
    if path == b".":
        fd = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            dress(fd, b".", entry)
        finally:
            os.close(fd)
        return
    fd, name = place.parent(path)
    dress(fd, name, entry)


def _directory(place: Place, stage: Stage, action: Action, wear: Dress) -> None:
    entry = action.entry
    assert entry is not None
    if action.verb == ADD:
        fd, name = place.parent(action.path)
        os.mkdir(name, 0o700, dir_fd=fd)
        wear(fd, name, entry)
        return
    new_fd, new = stage.fresh(action.path)
    os.mkdir(new, 0o700, dir_fd=new_fd)
    wear(new_fd, new, entry)
    fd, name = place.parent(action.path)
    exchange(new_fd, new, fd, name)
    place.forget()
    remove_tree(new_fd, new)


def _put(
    place: Place, stage: Stage, action: Action, entry: Entry, leaders: Dict[Tuple[str, int], bytes], wear: Dress
) -> None:
    """Make the new inode in staging, dress it, and let it take its name."""
    group = (action.source, entry.group)
    if entry.links > 1 and not action.content and group in leaders:
        new_fd, new = _linked(place, stage, action, entry, leaders)
    else:
        new_fd, new = _made(place, stage, action, entry, wear)
    if entry.links > 1:
        leaders.setdefault(group, action.path)
    fd, name = place.parent(action.path)
    there = place.lstat(action.path)
    if there is not None and stat.S_ISDIR(there.st_mode):
        exchange(new_fd, new, fd, name)
        place.forget()
        remove_tree(new_fd, new)
        return
    os.rename(new, name, src_dir_fd=new_fd, dst_dir_fd=fd)
    if entry.links > 1:  # rename(2) of one link onto another of the same file does nothing at all
        try:
            os.unlink(new, dir_fd=new_fd)
        except FileNotFoundError:
            pass


def _made(place: Place, stage: Stage, action: Action, entry: Entry, wear: Dress) -> Tuple[int, bytes]:
    new_fd, new = stage.fresh(action.path)
    if entry.kind == "file":
        staged_fd, staged = place.parent(stage.content(action.path))
        os.rename(staged, new, src_dir_fd=staged_fd, dst_dir_fd=new_fd)
    elif entry.kind == "link":
        os.symlink(entry.target, new, dir_fd=new_fd)
    else:
        major, minor = entry.device or (0, 0)
        os.mknod(new, _TYPES[entry.kind] | 0o600, os.makedev(major, minor), dir_fd=new_fd)
    wear(new_fd, new, entry)
    return new_fd, new


def _linked(
    place: Place, stage: Stage, action: Action, entry: Entry, leaders: Dict[Tuple[str, int], bytes]
) -> Tuple[int, bytes]:
    new_fd, new = stage.fresh(action.path)
    fd, name = place.parent(leaders[(action.source, entry.group)])
    os.link(name, new, src_dir_fd=fd, dst_dir_fd=new_fd, follow_symlinks=False)
    return new_fd, new


def _delete(place: Place, path: bytes, applied: Applied) -> None:
    status = place.lstat(path)
    if status is None:
        return
    fd, name = place.parent(path)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=fd)
        return
    try:
        os.rmdir(name, dir_fd=fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise
        applied.kept.append(path)


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "backslashreplace")


def groups(actions: Sequence[Action]) -> Set[Tuple[str, int]]:
    """Hard-link groups that some action puts a new inode into."""
    return {
        (each.source, each.entry.group)
        for each in actions
        if each.entry is not None and each.entry.links > 1 and each.verb in (ADD, CHANGE)
    }
