"""A copy of a version that somebody edits, kept until it is sealed or thrown away.

``<images>/<image>/.edit/{tree/,edit.json}``: not the place where versions are built and captured, because a copy may be
kept for days, and nothing else may clear it or wait for it. ``<images>/<image>/.edit.lock`` is held by whoever is
inside; ``edit.json``, the mark, says who that is and since when.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from imaged.model.codec import from_json, to_json
from imaged.model.errors import Conflict, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store import copies, durable, locks
from imaged.store.images import TIED, Images, utc_now
from imaged.store.mounts import refuse_mounts
from imaged.store.working import EDIT_LOCK, Working

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
    images: Images,
    wanted: Version,
    who: str,
    copy: Callable[[Path, Path], None] = copies.duplicate,
    *,
    exactly: bool,
    fresh: bool,
) -> Iterator[Copy]:
    """The kept copy of the image, else a new one of ``wanted``, made by ``copy`` (from, to). It outlives us.

    ``exactly``: not a kept copy of another version. ``fresh``: no kept copy. Raises Conflict, ImagedError for a full
    disk. A copy that could not be made leaves nothing.
    """
    directory = images.root / wanted.image / ".edit"
    with durable.explained(directory), _alone(images, wanted.image):
        if fresh:
            _remove(directory)
        _recover(directory)
        kept = mark(images, wanted.image)
        if kept is not None and exactly and kept.base != wanted.number:
            hint = f"`imaged enter {wanted.image}` goes on with it; --fresh throws it away."
            raise Conflict(f"{kept.who} left a copy of version {kept.base}", where=wanted.image, hint=hint)
        base = _base(images, wanted, kept)
        mine = to_json(Edit(base.number, who, utc_now())) + "\n"
        if kept is None:
            _make(directory, images.tree(wanted), copy, mine)
        else:
            _untie(directory, copy)
            durable.write_file(directory / _MARK, mine)
        yield Copy(Working(wanted.image, directory), base, kept)


def _make(directory: Path, tree: Path, copy: Callable[[Path, Path], None], marked: str) -> None:
    _remove(directory)  # what a kill left before the copy was whole
    directory.mkdir(mode=0o700)
    try:
        copy(tree, directory / "new")
        durable.write_file(directory / _MARK, marked)
        (directory / "new").rename(directory / "tree")
    except BaseException:
        _remove(directory)
        raise


def _untie(directory: Path, copy: Callable[[Path, Path], None]) -> None:
    """A seal that did not come to its end shares files with a version: whoever writes on would write into that."""
    tree, new, old = directory / "tree", directory / "new", directory / "old"
    if (directory / TIED).exists():
        for path in (new, old):
            _remove(path)
        copy(tree, new)
        tree.rename(old)
        new.rename(tree)
        (directory / TIED).unlink()
    _remove(old)


def _recover(directory: Path) -> None:
    """From a crash between the two renames of ``_untie``: what is new was whole before the first."""
    if (directory / "old").exists() and not (directory / "tree").exists():
        (directory / "new").rename(directory / "tree")


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
    def taken(_: str) -> Conflict:
        holder = mark(images, image)
        what = f"{holder.who} has been editing it since {holder.since}" if holder else "somebody begins to edit it"
        return Conflict(what, where=image, hint="One at a time: wait until that copy is left.")

    with locks.alone(images.root / image / EDIT_LOCK, taken):
        yield


def _remove(directory: Path) -> None:
    """Never through a mount that somebody made by hand: behind it are other files than the copy's."""
    if not directory.exists():
        return
    refuse_mounts(directory)
    shutil.rmtree(directory)
