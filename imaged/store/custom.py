"""Kernels and initial ramdisks of somebody's own, below the boot directory, each named by its content."""

import hashlib
import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from imaged.model.errors import BadInput, ImagedError
from imaged.model.next_boot import CUSTOM_DIR

_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")
_CHUNK = 1 << 20
_FRESH = 24 * 3600.0  # seconds; another verb may be about to name it


def keep(boot: Path, source: BinaryIO, name: str) -> str:
    """Copy ``source``, which people call ``name``; its path below the boot directory. Raises BadInput, ImagedError."""
    directory = boot / CUSTOM_DIR
    fresh = directory / "none"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, made = mkstemp(prefix=".", dir=directory)
        fresh, digest = Path(made), hashlib.sha256()
        with open(descriptor, "wb") as out:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
            if not out.tell():
                raise BadInput("is empty", where=name)
            os.fsync(out.fileno())
        kept = f"{digest.hexdigest()[:16]}-{_STRANGE.sub('_', name)[-64:].lstrip('.-')}"
        fresh.chmod(0o644)
        fresh.replace(directory / kept)
    except OSError as error:  # of the disk, or of whatever it is read from
        raise ImagedError(f"cannot be kept: {error.strerror or error}", where=str(error.filename or name)) from None
    finally:
        fresh.unlink(missing_ok=True)
    return f"{CUSTOM_DIR}/{kept}"


def prune(boot: Path, wanted: Collection[str], *, now: float | None = None) -> None:
    """Forget files that no node's boot names (paths below the boot directory) and that are older than a day."""
    long_ago = (time.time() if now is None else now) - _FRESH
    with suppress(OSError):  # a file that stays does no harm
        for path in (boot / CUSTOM_DIR).glob("*"):
            if f"{CUSTOM_DIR}/{path.name}" not in wanted and path.stat().st_mtime < long_ago:
                path.unlink()
