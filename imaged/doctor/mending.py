"""Mends what a finding says can be mended, and nothing else."""

from collections.abc import Callable
from pathlib import Path

from imaged.model.errors import Conflict, ImagedError
from imaged.planning.doctor.finding import MakeDirectory, MakeRamdisk, Mend, RemoveOrphans, RemoveTree, SetMode
from imaged.ramdisk.make import make
from imaged.store.database import open_database
from imaged.store.paths import State
from imaged.store.survey import remove_orphans
from imaged.store.working import locked, remove


def carry_out(mend: Mend, state: State, say: Callable[[str], None]) -> None:
    """Raises ImagedError when it could not be done; ``say`` hears of what takes long."""
    try:
        _carry_out(mend, state, say)
    except OSError as error:
        raise ImagedError(error.strerror or str(error), where=str(error.filename or "")) from None


def _carry_out(mend: Mend, state: State, say: Callable[[str], None]) -> None:
    match mend:
        case SetMode(path, mode):
            Path(path).chmod(mode)
        case MakeDirectory(path, mode):
            Path(path).mkdir(mode=mode, parents=True, exist_ok=True)
        case RemoveTree(path, image):
            _remove_tree(Path(path), state.images / image)
        case RemoveOrphans(table, _):
            remove_orphans(open_database(state.database), table)
        case MakeRamdisk(arch, kernel):
            make(state, kernel, arch, say)


def _remove_tree(path: Path, home: Path) -> None:
    """Under the lock of the image: nobody may have begun to work in it since it was found."""
    if path.parent.resolve() not in (home.resolve(), home.parent.resolve()):
        raise Conflict("is not in the image store", where=str(path))
    if not home.is_dir():
        remove(path)
        return
    with locked(home):
        remove(path)
