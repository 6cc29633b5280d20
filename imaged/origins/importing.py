"""Makes a tree of a file or a directory: finds out what it is, unpacks it, looks at what came out, and cleans it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.model.errors import BadInput, ImagedError
from imaged.model.image import ImageFacts
from imaged.model.plan import RemovePath
from imaged.origins import directory, diskfile, oci, unpacking
from imaged.origins.oci import Wanted
from imaged.origins.unpacking import Watch
from imaged.planning.clean import CLEAN
from imaged.planning.importing import (
    LEGACY,
    TAIL,
    Holds,
    Kind,
    Packing,
    faults,
    holds,
    is_ended,
    packing,
    recognize,
    unsquash,
    untar,
)
from imaged.store import edit, facts
from imaged.store.shown import shown
from imaged.store.tree import Tree

_DEEPEST = 3  # archives within archives
_NESTED = 8  # single directories within each other
_MOUNT_POINTS = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755, "tmp": 0o1777}
_SSH = ("/usr/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear")
_LEFT_BY_CONTAINERS = ("/.dockerenv", "/.dockerinit")


@frozen
class Source:
    """What is to be imported. ``partition`` is a disk's, ``wanted`` a container image's, ``boot`` see ``State``."""

    path: Path
    wanted: Wanted
    partition: str | None
    boot: Path


@frozen
class Imported:
    """``kind`` says what the source was; ``notes`` are good to know, ``warnings`` must be."""

    kind: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@frozen
class Judged:
    """What the tree is, and why no machine could start from it."""

    facts: ImageFacts
    faults: tuple[str, ...]
    entries: int
    bytes: int


def fill(source: Source, tree: Path, watch: Watch) -> Imported:
    """Make the root that is in ``source`` the empty directory ``tree``; what is needed meanwhile lies beside it.

    Raises BadInput for what is no root, damaged or not clear, CommandFailed for a full disk and a missing tool.
    """
    imported = _Import(source, tree, watch)
    try:
        found = imported.take(source.path, 0)
    except ImagedError as error:
        error.where = _known_as(error, source.path, tree.parent)
        raise
    finally:
        imported.clear()
    notes = tuple(f"{path}: {what}" for path, what in LEGACY.items() if Tree(tree).exists(path))
    lost = imported.lost
    said = (f"{lost} extended attributes, ACLs or owners could not be set here; the log names them",) if lost else ()
    return Imported(found, notes, (*imported.warnings, *said))


def _known_as(error: ImagedError, source: Path, place: Path) -> str:
    """People know the source, not where we unpacked what was in it."""
    inside = re.sub(f"^{re.escape(str(place))}/import-[0-9]+/?", "", error.where)
    of_the_source = isinstance(error, BadInput) or inside != error.where
    if inside.startswith(str(source)) or not of_the_source:
        return inside
    return ", ".join(filter(None, (str(source), inside)))


def discard(*paths: Path) -> None:
    """Remove what an archive brought, however deep: rm(1) needs no stack for that."""
    if paths:
        process.run(("rm", "-rf", "--one-file-system", "--", *map(str, paths)))


class _Import:
    """One import; ``lost`` and ``warnings`` grow as it unpacks."""

    def __init__(self, source: Source, tree: Path, watch: Watch) -> None:
        self._source = source
        self._tree = tree
        self._watch = watch
        self.lost = 0
        self.warnings: tuple[str, ...] = ()

    def take(self, path: Path, depth: int) -> str:
        """Fill the tree from ``path``; what it is, in words."""
        if depth > _DEEPEST:
            raise BadInput("archives within archives within archives", where=str(self._source.path))
        return self._directory(path) if path.is_dir() else self._file(path, depth)

    def clear(self) -> None:
        """What lies beside the tree is not needed any more."""
        discard(*self._tree.parent.glob("import-*"))

    def _directory(self, path: Path) -> str:
        kind, at = look(path)
        if kind in (Holds.OCI, Holds.DOCKER):
            return self._container(at, kind)
        if kind is not Holds.ROOT:
            raise _no_root(path, at)
        skipped = directory.copy(at, self._tree, self._watch)
        self.warnings += tuple(f"{each} is mounted in it and was not taken" for each in skipped)
        return "SystemImager image" if (at / "etc/systemimager").is_dir() else kind.value

    def _file(self, path: Path, depth: int) -> str:
        packed, kind = self._recognized(path)
        words = f"{kind.value}, {packed.value}" if packed is not Packing.NONE else kind.value
        if kind is Kind.DISK:
            self._disk(path)
            return words
        into = self._tree.parent / f"import-{depth}"
        into.mkdir(mode=0o755)
        into.chmod(0o755)
        if kind is Kind.SQUASHFS:
            self.lost += unpacking.unpack(unsquash(), path, into, self._watch, packed=Packing.NONE)
        else:
            if packed is Packing.NONE and not is_ended(_tail(path)):
                raise BadInput("is cut off: a tar archive ends with two blocks of zeros", where=str(path))
            self.lost += unpacking.unpack(untar(), path, into, self._watch, packed=packed)
        return self._unpacked(path, into, words, depth)

    def _unpacked(self, path: Path, into: Path, words: str, depth: int) -> str:
        """What came out of an archive is a root, a container image, or one file that is looked at in its turn."""
        kind, at = look(into)
        match kind:
            case Holds.ROOT:
                self._tree.rmdir()
                at.rename(self._tree)
                below = at.relative_to(into)
                return words if at == into else f"{words}, the root in {below}"
            case Holds.OCI:
                return self._container(at, kind).replace(Holds.OCI.value, "OCI archive", 1)
            case Holds.DOCKER:
                return self._container(at, kind)
            case Holds.FILE:
                (inner,) = at.iterdir()
                if inner.is_file() and not inner.is_symlink():
                    return f"{words}: {self.take(inner, depth + 1)}"
        raise _no_root(path, at)

    def _container(self, at: Path, kind: Holds) -> str:
        laid = oci.fill(at, kind, self._tree, self._source.wanted, self._watch)
        self.lost += laid.lost
        return f"{kind.value}, {laid.name}"

    def _recognized(self, path: Path) -> tuple[Packing, Kind]:
        if not (path.is_file() or path.is_block_device()):
            raise BadInput("is neither a file nor a directory", where=str(path))
        head = unpacking.read_head(path)
        packed = packing(head)
        if packed is not Packing.NONE:
            head = unpacking.unpacked_head(path, packed, self._tree.parent / "import-head")
            if not head:
                raise BadInput(f"is damaged or cut off: {packed.value} gets nothing out of it", where=str(path))
        try:
            kind = recognize(head)
        except BadInput as error:
            raise BadInput(error.what, where=str(path), hint=error.hint) from None
        if packed is not Packing.NONE and kind is not Kind.TAR:
            hint = f"Unpack it first: {packed.value} -dk {path.name}"
            raise BadInput(f"is a compressed {kind.value}", where=str(path), hint=hint)
        return packed, kind

    def _disk(self, path: Path) -> None:
        def on_line(line: str) -> None:
            self._watch.note(line)
            self._watch.detail(line)

        source = self._source
        diskfile.unpack(path, self._tree, partition=source.partition, boot=source.boot, on_line=on_line)


def look(path: Path) -> tuple[Holds, Path]:
    """What is in a directory, and where: single directories within each other are gone through. No link is followed."""
    at = path
    for _ in range(_NESTED):
        entries = list(os.scandir(at))
        directories = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
        kind = holds(directories, [each.name for each in entries if each.name not in directories])
        if kind is not Holds.NESTED:
            return kind, at
        at = at / directories[0]
    return Holds.OTHER, path


def _no_root(path: Path, at: Path) -> BadInput:
    names = sorted(shown(each.name) for each in at.iterdir())[:8]
    hint = f"Such a tree has /etc, /usr and so on. There is: {', '.join(names) or 'nothing'}."
    return BadInput("holds no root of a machine", where=str(path), hint=hint)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return file.read()


def finish(root: Path) -> Judged:
    """Take out what must not be in an image, add the mount points that archives leave out, and judge the tree."""
    tree, time = Tree(root), root.stat().st_mtime_ns
    with _times_kept(root):
        for step in CLEAN:
            edit.apply(tree, step, _nothing_runs)
        for path in _LEFT_BY_CONTAINERS:
            edit.apply(tree, RemovePath(path), _nothing_runs)
        for name, mode in _MOUNT_POINTS.items():
            at = tree.locate(f"/{name}")
            if at is not None and not at.exists():
                at.mkdir(parents=True)
                at.chmod(mode)
                os.utime(at, ns=(time, time))
    found = facts.read(tree)
    ssh = any(tree.exists(path) for path in _SSH)
    return Judged(found, faults(found, init=_is_there(tree, "/sbin/init"), ssh=ssh), *_amount(root))


def _is_there(tree: Tree, path: str) -> bool:
    at = tree.locate(path)
    return at is not None and at.is_file()


def _amount(root: Path) -> tuple[int, int]:
    """Entries, and bytes of files with hard links counted once."""
    seen: set[int] = set()
    entries = size = 0
    for entry in _walk(root):
        entries += 1
        if entry.is_file(follow_symlinks=False) and entry.inode() not in seen:
            status = entry.stat(follow_symlinks=False)
            size += status.st_size
            if status.st_nlink > 1:
                seen.add(status.st_ino)
    return entries + 1, size


@contextmanager
def _times_kept(root: Path) -> Iterator[None]:
    """Directories from which something goes keep their times, so that one file imported twice gives equal versions."""
    before = {os.fsencode(root): root.stat().st_mtime_ns}
    before |= {entry.path: entry.stat(follow_symlinks=False).st_mtime_ns for entry in _walk(root) if _is_dir(entry)}
    identity = Tree(root).locate("/etc/machine-id", follow=False)
    was = _changed(identity)
    yield
    if identity is not None and _changed(identity) != was and (time := before.get(os.fsencode(identity.parent))):
        os.utime(identity, ns=(time, time), follow_symlinks=False)
    for at, time in before.items():
        with suppress(FileNotFoundError):
            os.utime(at, ns=(time, time), follow_symlinks=False)


def _changed(path: Path | None) -> int:
    return path.lstat().st_mtime_ns if path is not None and (path.exists() or path.is_symlink()) else 0


def _walk(root: Path) -> Iterator[os.DirEntry[bytes]]:
    """Everything below ``root``, however deep."""
    todo = [os.fsencode(root)]
    while todo:
        for entry in os.scandir(todo.pop()):
            yield entry
            if _is_dir(entry):
                todo.append(entry.path)


def _is_dir(entry: os.DirEntry[bytes]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _nothing_runs(step: object) -> None:
    raise AssertionError(step)
