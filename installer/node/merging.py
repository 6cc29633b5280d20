"""Users and groups of a node merged with those of the image: files read, ``users`` asked, files written."""

import hashlib
import os
import stat
from typing import Dict, Iterable, List, Optional

from installer.node import steps, users
from installer.node.fetch import Fetch, Wanted
from installer.node.manifest import Entry
from installer.node.place import Place
from installer.node.stage import Stage


def merge_users(place: Place, stage: Stage, home: str, entries: Iterable[Entry], fetch: Fetch) -> List[str]:
    """Merge the files that ``entries`` of the image are. ``home`` is our directory on the node, where the contents of
    the last version are kept as the base of the merge. Returns what to say."""
    wanted = {each.path: each for each in entries if each.kind == "file"}
    todo = [each for each in wanted.values() if not _proven(home, each)]
    if todo:
        fetch.all([Wanted(each.path, each, "image") for each in todo])
    came = {each.path for each in todo}
    files: Dict[bytes, users.Versions] = {}
    fresh: Dict[bytes, bytes] = {}
    for path in wanted:
        theirs = slurp(place.full(stage.content(path))) if path in came else slurp(_base(home, path))
        fresh[path] = theirs or b""
        mine = slurp(place.full(path)) if is_file(place, path) else None
        files[path] = users.Versions(slurp(_base(home, path)), mine, theirs)
    merged = users.merge(files)
    for path, text in merged.texts.items():
        if text != files[path].mine:
            _rewrite(place, stage, path, text, wanted[path])
    for path, text in fresh.items():
        steps.write_atomically(os.fsdecode(_base(home, path)), text, 0o600)
    return list(merged.said)


def _rewrite(place: Place, stage: Stage, path: bytes, text: bytes, entry: Entry) -> None:
    """Replace one file of users, with the owner and mode that it has here."""
    status = place.lstat(path)
    new_fd, new = stage.fresh(path)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=new_fd), "wb") as file:
        file.write(text)
        os.fchown(file.fileno(), status.st_uid if status else entry.uid, status.st_gid if status else entry.gid)
        os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode) if status else entry.mode)
        file.flush()
        os.fsync(file.fileno())
    fd, name = place.parent(path)
    os.rename(new, name, src_dir_fd=new_fd, dst_dir_fd=fd)


def _base(home: str, path: bytes) -> bytes:
    return os.path.join(os.fsencode(home), b"base", path)


def _proven(home: str, entry: Entry) -> bool:
    return hashlib.sha256(slurp(_base(home, entry.path)) or b"").hexdigest() == entry.sha256


def slurp(path: bytes) -> Optional[bytes]:
    """A whole small file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def is_file(place: Place, path: bytes) -> bool:
    """Whether a regular file is there."""
    status = place.lstat(path)
    return status is not None and stat.S_ISREG(status.st_mode)
