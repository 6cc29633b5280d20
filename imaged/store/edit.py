"""Carries out the steps of a plan on a tree in the store. The tree's own links never lead a step out of it."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from imaged.model.errors import CommandFailed
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.store.tree import Tree


def apply(
    tree: Tree,
    step: WriteFile | RemovePath | MakeLink | RunInTarget | CheckFile,
    run: Callable[[RunInTarget], None],
) -> None:
    """Carry out one step; ``run`` runs a program in the tree. Raises CommandFailed for a check that does not hold."""
    match step:
        case WriteFile(path, content, mode):
            _write(_place(tree, path), content, int(mode, 8))
        case MakeLink(path, target):
            at = _place(tree, path)
            at.unlink(missing_ok=True)
            at.symlink_to(target)
        case RemovePath(path):
            for at in list(tree.glob(path)):
                _remove(at)
        case CheckFile():
            _check(tree, step)
        case RunInTarget():
            run(step)


def lay_over(tree: Tree, source: Path) -> None:
    """Copy the files below ``source`` over the tree's, as root's. Directories that are there keep their attributes.

    Raises CommandFailed where a directory would become a file or a file a directory.
    """
    for directory, names, files in os.walk(source):
        below = "/" + Path(directory).relative_to(source).as_posix().removeprefix(".")
        links = [name for name in names if Path(directory, name).is_symlink()]
        for name in sorted({*names} - {*links}):
            at = tree.locate(f"{below}/{name}")
            if at is None or (at.exists() and not at.is_dir()):
                raise CommandFailed("is a directory in the override and none in the image", where=f"{below}/{name}")
            if not at.exists():
                at.mkdir(parents=True)
                shutil.copystat(Path(directory, name), at)
        for name in sorted([*files, *links]):
            _copy(Path(directory, name), _place(tree, f"{below}/{name}"))


def _copy(source: Path, at: Path) -> None:
    """What is there is replaced, never written into: it may be a link, or one of several names of a file."""
    if at.is_dir() and not at.is_symlink():
        raise CommandFailed("is a directory in the image and none in the override", where=str(source))
    if not (source.is_symlink() or source.is_file()):
        raise CommandFailed("is neither a file nor a link", where=str(source), hint="Make it with a script.")
    beside = at.with_name(f".{at.name}.imaged")
    shutil.copy2(source, beside, follow_symlinks=False)
    os.chown(beside, 0, 0, follow_symlinks=False)
    if not source.is_symlink():
        beside.chmod(source.stat().st_mode & 0o7777)  # chown(2) takes the set-user-ID bit away
    beside.replace(at)


def _place(tree: Tree, path: str) -> Path:
    """Where a new file goes: its directory is made, a link in its own place is not followed."""
    directory, _, name = path.rpartition("/")
    parent = tree.locate(directory)
    if parent is None:
        raise CommandFailed("the links on the way lead in a circle", where=path)
    parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    return parent / name


def _write(at: Path, content: str, mode: int) -> None:
    if _is_so(at, content, mode):
        return
    beside = at.with_name(f".{at.name}.imaged")
    with open(beside, "w", encoding="utf-8", opener=_private) as file:
        file.write(content)
    beside.chmod(mode)
    beside.replace(at)


def _is_so(at: Path, content: str, mode: int) -> bool:
    """A file written again without need would be a change to whoever compares times."""
    try:
        status = at.lstat()
        same = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == mode
        return same and at.read_bytes() == content.encode("utf-8")
    except FileNotFoundError:
        return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _remove(at: Path) -> None:
    if at.is_dir() and not at.is_symlink():
        shutil.rmtree(at)
    else:
        at.unlink()


def _check(tree: Tree, step: CheckFile) -> None:
    at = tree.locate(step.path)
    if at is None or not at.is_file() or not at.stat().st_size:
        raise CommandFailed("is missing or empty in the tree", where=step.path)
    if step.mode and at.stat().st_mode & 0o7777 != int(step.mode, 8):
        raise CommandFailed(f"does not have mode {step.mode}", where=step.path)
    if step.contains and step.contains not in at.read_text(encoding="utf-8", errors="replace"):
        raise CommandFailed(f"does not say {step.contains!r}", where=step.path)
