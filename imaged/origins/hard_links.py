"""Which names are one file: read from a tree, and put right where ``--link-dest`` joined what the client had parted.

rsync links each unchanged name to the last version's. Two names that were one file there and are two equal ones now
would stay one: nothing about either of them changed.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def groups(tree: Path) -> tuple[tuple[bytes, ...], ...]:
    """Names (relative to ``tree``) that share a file with others in it, by file, each sorted."""
    found: dict[int, list[bytes]] = {}
    for name, status in _walk(os.fsencode(tree), b""):
        if status.st_nlink > 1:
            found.setdefault(status.st_ino, []).append(name)
    return tuple(tuple(sorted(names)) for names in found.values() if len(names) > 1)


def part(tree: Path, truth: Path, names: Iterable[tuple[bytes, ...]]) -> int:
    """Part what is one file in ``tree`` and more than one in ``truth``, a copy of those ``names``; how many parted.

    ``truth`` is on the same filesystem and loses what is moved. Names that are not there any more are left alone.
    """
    base, copy = os.fsencode(tree), os.fsencode(truth)
    moved = 0
    for group in names:
        files: dict[int, list[bytes]] = {}
        for name in group:
            try:
                files.setdefault(os.lstat(os.path.join(copy, name)).st_ino, []).append(name)  # noqa: PTH118 - bytes
            except FileNotFoundError:
                continue
        for others in list(files.values())[1:]:
            for name in others:
                _replace(base + b"/" + name, copy + b"/" + name)
            moved += 1
    return moved


def _replace(at: bytes, new: bytes) -> None:
    """The directory keeps its time: it is part of the version."""
    directory = os.path.dirname(at)  # noqa: PTH120 - bytes
    before = os.stat(directory)  # noqa: PTH116 - bytes
    os.replace(new, at)  # noqa: PTH105 - bytes
    os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _walk(base: bytes, below: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    todo = [below]
    while todo:
        here = todo.pop()
        with os.scandir(base + b"/" + here) as entries:
            for entry in entries:
                name = here + b"/" + entry.name if here else entry.name
                if entry.is_dir(follow_symlinks=False):
                    todo.append(name)
                else:
                    yield name, entry.stat(follow_symlinks=False)
