"""Channels of an image: movable names for versions. One file each: the present number, then those before it."""

from pathlib import Path

from imaged.model.errors import BadInput, NotFound
from imaged.model.names import channel_name
from imaged.store import durable

_KEPT = 50  # numbers that a channel remembers


def read(directory: Path) -> dict[str, tuple[int, ...]]:
    """Channel -> the versions that it meant, newest first; sorted by channel. Raises BadInput for a damaged one."""
    try:
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {path.name: _history(path) for path in paths}


def move(directory: Path, channel: str, number: int) -> None:
    """Let ``channel`` mean ``number`` from now on, by one rename. Raises BadInput for what is no channel's name."""
    directory.mkdir(exist_ok=True)
    path = directory / channel_name(channel)
    before = _history(path) if path.exists() else ()
    if before[:1] != (number,):
        _write(path, (number, *before))


def back(directory: Path, channel: str, there: tuple[int, ...]) -> int:
    """Let ``channel`` mean what it meant before, as far as it is still ``there``; the number. Raises NotFound."""
    path = directory / channel_name(channel)
    history = _history(path) if path.exists() else ()
    older = next((at for at, number in enumerate(history) if number in there and number != history[0]), None)
    if older is None:
        raise NotFound(
            f"the channel {channel!r} has meant nothing else that is still there", where=directory.parent.name
        )
    _write(path, history[older:])
    return history[older]


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
