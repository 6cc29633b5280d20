"""Damage in a sealed tree: how it is kept from spreading into new versions as if somebody had meant it."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from imaged.model.errors import Conflict
from imaged.store import seal
from imaged.store.manifest import Entry, Kind
from imaged.store.shown import shown

_SHOWN = 5  # paths in the error


class Damaged(Conflict):
    """``paths`` (as in a manifest) have what a disk made of them, not what was sealed in the version ``ref``."""

    def __init__(self, ref: str, paths: tuple[str, ...]) -> None:
        named = ", ".join(shown(f"/{path}") for path in paths[:_SHOWN])
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        hint = (
            f"`imaged verifyimage {ref}` says all that is damaged. Put these files right in the copy, or begin with "
            "another version."
        )
        super().__init__(f"damaged in {ref}, and copied from there: {named}{more}", where=ref.split("@")[0], hint=hint)
        self.ref = ref
        self.paths = paths


def copied(entries: Iterable[Entry], tree: Path, known: Iterable[Entry]) -> tuple[str, ...]:
    """Files of a new version's ``entries`` that have the damaged bytes which lie in an older ``tree``.

    ``known`` is what was sealed there. A file that is another on purpose has another size or time as a rule; one that
    has not is told by what the older file holds now. So only that is read which has changed without a trace.
    """
    sealed = {entry.path: entry for entry in known if entry.kind is Kind.FILE}
    return tuple(
        entry.path
        for entry in entries
        if entry.kind is Kind.FILE
        and (was := sealed.get(entry.path)) is not None
        and was.sha256 != entry.sha256
        and _holds(tree, entry)
    )


def _holds(tree: Path, entry: Entry) -> bool:
    path = os.fsencode(tree) + b"/" + os.fsencode(entry.path)
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.time):
            return False
        return seal.digest(os.fsencode(tree), entry) == entry.sha256
    except (OSError, Conflict):
        return False  # what cannot be read was not copied either
