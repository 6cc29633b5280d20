"""Who may read and write what the server keeps: secrets nobody else, the rest nobody else writes."""

from collections.abc import Iterator, Sequence
from enum import Enum

from attrs import frozen

from imaged.planning.doctor.finding import Finding, MakeDirectory, SetMode, Voice

_SAY = Voice("rights")
_OTHERS, _OTHERS_WRITE = 0o007, 0o002
_NOT_OWNER = 0o077


class Care(Enum):
    """What a path needs. ``secret``: only its owner may do anything; ``closed``: and its group; ``own``: nobody but
    these writes."""

    SECRET = "secret"
    CLOSED = "closed"
    OWN = "own"


@frozen
class Entry:
    """A path as it is; ``mode`` are permission bits, None: it is not there. ``needed``: it is made if it is not."""

    path: str
    care: Care
    mode: int | None = None
    uid: int = 0
    directory: bool = False
    needed: bool = False


def findings(entries: Sequence[Entry], owner: int | None, user: int, hidden: Sequence[str]) -> Iterator[Finding]:
    """``owner`` is whose the state directory is, None: there is none. ``user`` asks; ``hidden`` were not to be seen."""
    wrong = 0
    missing = {entry.path for entry in entries if entry.mode is None}
    for entry in entries:
        if entry.mode is None:
            if entry.needed and entry.path.rpartition("/")[0] not in missing:  # the upper one says it all
                wrong += 1
                mend = MakeDirectory(entry.path, 0o700 if entry.care is Care.SECRET else 0o755)
                yield _SAY.note("is not there yet", entry.path, "`imaged serve` makes it.", mend)
            continue
        for found in _judged(entry, owner, user):
            wrong += 1
            yield found
    if hidden:
        more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
        yield _SAY.note(f"could not look at {hidden[0]}{more}", todo="Run this as root.")
    if not wrong:
        yield _SAY.ok(f"{len(entries)} files and directories are closed to others as they should be")


def _judged(entry: Entry, owner: int | None, user: int) -> Iterator[Finding]:
    assert entry.mode is not None
    mend = user in (0, entry.uid)
    barred = {Care.SECRET: _NOT_OWNER, Care.CLOSED: _OTHERS, Care.OWN: 0}[entry.care]
    if entry.mode & barred:
        right = entry.mode & ~barred
        what = f"holds secrets, and others get at it (mode {entry.mode:04o})"
        yield _SAY.error(what, entry.path, f"chmod {right:04o}", SetMode(entry.path, right) if mend else None)
    elif entry.care is Care.OWN and entry.mode & _OTHERS_WRITE:
        right = entry.mode & ~_OTHERS_WRITE
        what = f"others may write to it (mode {entry.mode:04o})"
        yield _SAY.error(what, entry.path, f"chmod {right:04o}", SetMode(entry.path, right) if mend else None)
    if owner is not None and entry.uid != owner and entry.care is Care.SECRET:
        what = f"belongs to user {entry.uid}, the state directory to user {owner}: the daemon may be locked out"
        yield _SAY.warning(what, entry.path, f"chown {owner}")
