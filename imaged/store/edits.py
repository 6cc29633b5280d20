"""The mark of an edit: who works on which version since when. It lies beside the working copy and goes with it."""

from pathlib import Path

from attrs import frozen

from imaged.model.codec import from_json, to_json
from imaged.store import durable

_NAME = "edit.json"


@frozen
class Edit:
    """``base`` is the number of the version that was copied, ``since`` ISO 8601 UTC."""

    base: int
    who: str
    since: str


def read(directory: Path) -> Edit | None:
    """The mark in the directory of a working copy; None for a copy that is none of ours. Raises BadInput."""
    path = directory / _NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    return from_json(text, Edit, where=str(path))


def write(directory: Path, edit: Edit) -> None:
    """Mark it, durably: whoever finds the copy after a power cut knows whose it is."""
    durable.write_file(directory / _NAME, to_json(edit) + "\n")


def clear(directory: Path) -> None:
    """The copy is no edit any more: it is about to become a version."""
    (directory / _NAME).unlink(missing_ok=True)
