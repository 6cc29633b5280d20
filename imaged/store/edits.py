"""A copy of a version that somebody edits, kept until it is sealed or thrown away.

``<images>/<image>/.edit/{tree/,edit.json}``: not the place where versions are built and captured, because a copy may be
kept for days, and nothing else may clear it or wait for it. ``<images>/<image>/.edit.lock`` is held with flock(2) by
whoever is inside, so it cannot outlive its process; ``edit.json``, the mark, says who that is and since when.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from imaged.model.codec import from_json, to_json
from imaged.model.errors import Conflict, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store import durable
from imaged.store.images import Images, Working, utc_now

_MARK = "edit.json"


@frozen
class Edit:
    """The mark. ``base`` is the number of the version that was copied, ``since`` ISO 8601 UTC."""

    base: int
    who: str
    since: str


@frozen
class Copy:
    """What is edited, of which version; ``kept`` is the mark of whoever left it, None for a new one."""

    working: Working
    base: Version
    kept: Edit | None

    def discard(self) -> None:
        """Throw it away."""
        _remove(self.working.directory)


def mark(images: Images, image: str) -> Edit | None:
    """Who edits the image, or kept a copy of it; None when nobody does. Raises BadInput."""
    path = images.root / image / ".edit" / _MARK
    try:
        return from_json(path.read_bytes(), Edit, where=str(path)) if (path.parent / "tree").is_dir() else None
    except FileNotFoundError:
        return None


@contextmanager
def working_copy(
    images: Images, wanted: Version, who: str, copy: Callable[[Path, Path], None], *, exactly: bool, fresh: bool
) -> Iterator[Copy]:
    """The kept copy of the image, else a new one of ``wanted``, made by ``copy`` (from, to). It outlives us.

    ``exactly``: not a kept copy of another version. ``fresh``: no kept copy. Raises Conflict.
    """
    directory = images.root / wanted.image / ".edit"
    with _alone(images, wanted.image):
        if fresh:
            _remove(directory)
        kept = mark(images, wanted.image)
        if kept is not None and exactly and kept.base != wanted.number:
            hint = f"`imaged enter {wanted.image}` goes on with it; --fresh throws it away."
            raise Conflict(f"{kept.who} left a copy of version {kept.base}", where=wanted.image, hint=hint)
        base = _base(images, wanted, kept)
        if kept is None:
            _remove(directory)  # what a kill left before the copy was whole
            directory.mkdir(mode=0o700)
            copy(images.tree(wanted), directory / "new")
        durable.write_file(directory / _MARK, to_json(Edit(base.number, who, utc_now())) + "\n")
        if kept is None:
            (directory / "new").rename(directory / "tree")
        yield Copy(Working(wanted.image, directory), base, kept)


def _base(images: Images, wanted: Version, kept: Edit | None) -> Version:
    if kept is None:
        return wanted
    try:
        return images.resolve(ImageRef(wanted.image, version=kept.base))
    except NotFound:
        hint = "--fresh throws it away."
        raise Conflict(
            f"{kept.who} left a copy of version {kept.base}, which is gone", where=wanted.image, hint=hint
        ) from None


@contextmanager
def _alone(images: Images, image: str) -> Iterator[None]:
    with (images.root / image / ".edit.lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = mark(images, image)
            what = f"{holder.who} has been editing it since {holder.since}" if holder else "somebody begins to edit it"
            raise Conflict(what, where=image, hint="One at a time: wait until that copy is left.") from None
        yield


def _remove(directory: Path) -> None:
    """Never through a mount that somebody made by hand: behind it are other files than the copy's."""
    if not directory.exists():
        return
    mounted = [at for at in _mount_points() if at.is_relative_to(directory.resolve())]
    if mounted:
        raise Conflict("something is mounted in a working copy", where=str(mounted[0]), hint="Unmount it.")
    shutil.rmtree(directory)


def _mount_points() -> list[Path]:
    """proc_pid_mountinfo(5), field 5, with blanks and the like as ``\\ooo``."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return [Path(os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1"))) for line in lines]
