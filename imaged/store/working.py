"""Working trees of images: begun, held by one at a time, removed without reaching through a mount."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.model.errors import Conflict
from imaged.store import copies, locks
from imaged.store.mounts import refuse_mounts

EDIT_LOCK = ".edit.lock"
GONE = ".gone-"


@frozen
class Working:
    """A tree in the making. Valid only inside ``Images.working``. ``resumed``: an earlier one goes on in it."""

    image: str
    directory: Path
    resumed: bool = False

    @property
    def tree(self) -> Path:
        """The root of the tree."""
        return self.directory / "tree"


def begun(name: str, directory: Path, source: Path | None, *, resume: bool) -> Working:
    """The tree to fill: a new one, a copy of ``source``, or with ``resume`` what an earlier run left."""
    if not resume:
        remove(directory)
    working = Working(name, directory, resumed=resume and (directory / "tree").exists())
    if source and not working.resumed:
        remove(directory)
        directory.mkdir()
        copies.duplicate(source, directory / "new")
        (directory / "new").rename(working.tree)  # half a copy is never gone on with
    elif not working.resumed:
        working.tree.mkdir(parents=True)
        working.tree.chmod(0o755)  # the nodes' root directory, whatever umask we run with
    return working


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Nobody else makes a version of the image. Raises Conflict that says who does."""

    def taken(holder: str) -> Conflict:
        what = f"a version of {home.name} is being made by process {holder or '?'}"
        return Conflict(what, where=str(home), hint="Wait for it, or end it.")

    with locks.alone(home / ".lock", taken):
        yield


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Nobody makes a version of it, nobody edits it."""
    hint = "Wait until that copy is left."
    with ExitStack() as stack:
        stack.enter_context(locked(home))
        editing = Conflict("somebody edits it (`imaged enter`)", where=home.name, hint=hint)
        stack.enter_context(locks.alone(home / EDIT_LOCK, lambda _: editing))
        yield


def clear(directory: Path) -> None:
    """What is out of sight already, also of those before us; another may be at it at this moment."""
    for gone in directory.glob(f"{GONE}*"):
        remove(gone)


def remove(directory: Path) -> None:
    """Remove a working directory, but never reach through a mount into somebody's /dev or /home."""
    if not directory.exists():
        return
    refuse_mounts(directory)
    # rm(1), for a tree from elsewhere may be deeper than what Python can call itself.
    process.run(("rm", "--recursive", "--force", "--one-file-system", "--", str(directory)))
