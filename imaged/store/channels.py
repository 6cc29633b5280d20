"""Channels of an image: movable names for versions. One file each: the present number, then those before it."""

from collections.abc import Container
from pathlib import Path

from imaged.model.errors import BadInput, NotFound
from imaged.model.names import channel_name
from imaged.store import durable, locks

_LOCK = ".lock"
_KEPT = 50  # numbers that a channel remembers


def read(directory: Path) -> dict[str, tuple[int, ...]]:
    """Channel -> the versions that it meant, newest first; sorted by channel. Raises BadInput for a damaged one."""
    try:
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {path.name: _history(path) for path in paths}


def move(directory: Path, channel: str, number: int) -> int | None:
    """Let ``channel`` mean ``number`` from now on, by one rename; what it meant until now, None: nothing.

    Raises BadInput for what is no channel's name.
    """
    path = directory / channel_name(channel)
    directory.mkdir(exist_ok=True)
    with locks.in_turn(directory / _LOCK):  # two at once would each forget what the other remembers
        before = _history(path) if path.exists() else ()
        if before[:1] != (number,):
            _write(path, (number, *before))
    return before[0] if before else None


def back(directory: Path, channel: str, there: tuple[int, ...]) -> int:
    """Let ``channel`` mean what it meant before, as far as it is still ``there``; the number. Raises NotFound."""
    path = directory / channel_name(channel)
    with locks.in_turn(directory / _LOCK):
        history = _history(path) if path.exists() else ()
        older = before(history, there)
        if older is None:
            hint = "`imaged lsimage` shows the versions there are, `imaged publish` moves a channel to any of them."
            what = f"the channel {channel!r} has meant nothing else that is still there"
            raise NotFound(what, where=directory.parent.name, hint=hint)
        _write(path, history[history.index(older, 1) :])
        return older


def before(history: tuple[int, ...], there: Container[int]) -> int | None:
    """The number to which a channel with this history goes ``back``, None if there is none."""
    return next((number for number in history[1:] if number in there and number != history[0]), None)


def _write(path: Path, history: tuple[int, ...]) -> None:
    durable.write_file(path, "".join(f"{number}\n" for number in history[:_KEPT]))


def _history(path: Path) -> tuple[int, ...]:
    try:
        numbers = tuple(int(line) for line in path.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        numbers = ()
    if not numbers:
        hint = "Write the number of a version into it."
        raise BadInput("is not a channel: it must hold a number", where=str(path), hint=hint)
    return numbers
