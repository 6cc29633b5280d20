"""Files of the target. Every path is walked inside the target root, symbolic links included: nothing gets outside."""

import errno
import os
import secrets
import shutil
import stat
from collections import deque
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from imaged.model.errors import BadInput, ImagedError
from imaged.model.plan import CheckFile, KeepSecret, MakeLink, MoveFile, RemovePath, WriteFile

_LINKS = 40  # path_resolution(7)
_FLEETING = frozenset(("dev", "proc", "run", "sys", "tmp"))  # nothing there outlasts a boot
_GLOB = frozenset("*?[")


def inside(root: Path, path: str, *, follow: bool = True) -> Path:
    """Where ``path`` of the target lies, as a process with that root would find it (openat2(2), RESOLVE_IN_ROOT).

    ``root`` itself holds no links. What does not exist yet is taken as written; ``..`` stops at ``root``. Without
    ``follow`` a link in the last place is the answer, not what it points to. Raises BadInput and OSError.
    """
    if not path.startswith("/") or "\0" in path:
        raise BadInput(f"{path!r} is not an absolute path", hint="This is a fault of the plan.")
    waiting, place, links = deque(_parts(path)), list[str](), 0
    while waiting:
        part = waiting.popleft()
        here = root.joinpath(*place, part)
        if part == "..":
            del place[-1:]
        elif (waiting or follow) and here.is_symlink():
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = str(here.readlink())
            if target.startswith("/"):
                place.clear()
            waiting.extendleft(reversed(_parts(target)))
        else:
            place.append(part)
    return root.joinpath(*place)


def lasting(root: Path, path: str) -> Path:
    """Where a file of the node goes. A link in its place is followed, for an image may keep its own elsewhere; but not
    one that leads in a circle or to where nothing outlasts a boot: the file takes its place. Raises as ``inside``."""
    try:
        found = inside(root, path)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return inside(root, path, follow=False)
    fleeting = found.relative_to(root).parts[:1]
    return inside(root, path, follow=False) if _FLEETING.intersection(fleeting) else found


def write_file(step: WriteFile, root: Path) -> None:
    """Write or replace the file."""
    replace(lasting(root, step.path), step.content.encode(), int(step.mode, 8))


def keep_secret(step: KeepSecret, root: Path, secret: str) -> None:
    """Leave the secret by which the node proves itself, for root's eyes."""
    replace(lasting(root, step.path), f"{secret}\n".encode(), 0o600)


def move_file(step: MoveFile, root: Path) -> None:
    """Rename it, if it is there, once the disk has all of it."""
    source = inside(root, step.source, follow=False)
    if os.path.lexists(source):
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(inside(root, step.path, follow=False))


def remove_path(step: RemovePath, root: Path) -> None:
    """Remove what the path or pattern names; a link itself, never what it points to. A mount point only loses
    what is in it."""
    for path in matches(root, step.path):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        elif not path.is_mount():
            shutil.rmtree(path)


def make_link(step: MakeLink, root: Path) -> None:
    """Put the link there atomically. A directory in its place must be empty.

    Where the target is a link to this very file, the two change roles: else both would lead in a circle.
    """
    path = inside(root, step.path, follow=False)
    make_directories(path.parent)
    target = str(PurePosixPath(step.path).parent / step.target)
    end = inside(root, target, follow=False)
    if end.is_symlink() and path.is_file() and not path.is_symlink() and inside(root, target) == path:
        replace(end, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    temporary = path.with_name(f".imaged-{secrets.token_hex(8)}")
    temporary.symlink_to(step.target)
    temporary.replace(path)


def check_file(step: CheckFile, root: Path) -> None:
    """Raises ImagedError that says what is wrong with the file, and what that would have led to."""
    try:
        _check(step, inside(root, step.path))
    except ImagedError as error:
        raise ImagedError(error.what, where=error.where, hint=step.reason) from None


def _check(step: CheckFile, path: Path) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise ImagedError(f"is not as it should be: {error.strerror}", where=step.path) from None
    if not found.st_size:
        raise ImagedError("is empty", where=step.path)
    mode = stat.S_IMODE(found.st_mode)
    if step.mode and mode != int(step.mode, 8):
        raise ImagedError(f"has mode {mode:04o} instead of {step.mode}", where=step.path)
    if step.contains and step.contains.encode() not in path.read_bytes():
        raise ImagedError(f"does not hold {step.contains!r}", where=step.path)
    for word in step.lacks:
        if word.encode() in path.read_bytes():
            raise ImagedError(f"still holds {word!r}", where=step.path)


def matches(root: Path, pattern: str) -> list[Path]:
    """What an anchored shell pattern names inside ``root``; a plain path that exists is its own only match.

    As in the shell, ``*`` stops at ``/`` and passes over names that begin with a dot.
    """
    found = [""]
    parts = _parts(pattern)
    if not pattern.startswith("/") or not parts or ".." in parts:
        raise BadInput(f"{pattern!r} is not an anchored pattern", hint="This is a fault of the plan.")
    for part in parts:
        if _GLOB & set(part):
            found = [f"{base}/{name}" for base in found for name in _names(root, base) if _fits(name, part)]
        else:
            found = [f"{base}/{part}" for base in found]
    return [path for path in (inside(root, each, follow=False) for each in found) if os.path.lexists(path)]


def make_directories(path: Path) -> None:
    """mkdir -p with mode 0755 whatever our umask is."""
    for each in (*reversed(path.parents), path):
        if not each.exists():
            each.mkdir()
            each.chmod(0o755)


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a new file and rename it into place: at every moment the old or the whole new one is there."""
    make_directories(path.parent)
    temporary = path.with_name(f".imaged-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            with suppress(PermissionError):  # vfat has no modes and refuses those that it cannot show
                os.fchmod(file.fileno(), mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _names(root: Path, base: str) -> list[str]:
    try:
        return sorted(path.name for path in inside(root, base or "/").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
