"""The rsync daemon of one connection: its configuration text, its arguments, and which rsync is fit for it.

rsyncd.conf(5), rsync(1). The configuration holds what one node may read at that moment and nothing else.
"""

import re
from enum import Enum
from pathlib import Path
from typing import Final

from imaged.model.errors import BadInput
from imaged.model.names import image_name
from imaged.model.transfer import Module

# What a client may ask of the sending side, install or update. Everything else is refused: following links out of the
# tree, hashing whole trees (the manifest has the hashes), memory limits, writing, and whatever a later rsync adds.
_ALLOWED: Final = (
    "a", "H", "A", "X", "S", "U", "N", "x", "R", "W", "v", "i", "I", "d", "D", "h", "O", "J", "y", "m",
    "numeric-ids", "whole-file", "no-W", "inplace", "partial*", "append*", "inc-recursive", "no-inc-recursive", "i-r",
    "no-i-r", "files-from", "no-implied-dirs", "delete*", "existing", "ignore-existing", "ignore-errors",
    "ignore-missing-args", "delete-missing-args", "size-only", "modify-window", "log-format", "info", "stats",
    "checksum-choice", "cc", "block-size", "bwlimit", "timeout", "force", "max-size", "min-size",
    "delay-updates", "fsync", "super",
)  # fmt: skip

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f%]|^\s|\s$|\\$")
_VERSION: Final = re.compile(r"rsync +version v?(\d+)\.(\d+)\.(\d+)")


class Fitness(Enum):
    """Whether an rsync may serve. 3.5.0 closed 33 CVEs, among them ways out of a module and writes to the heap."""

    FIT = "fit"
    OLD = "old"
    UNFIT = "unfit"


def fitness(version_text: str) -> tuple[str, Fitness]:
    """Judge the output of ``rsync --version``: the version, and what to think of it.

    Before 3.2 ``refuse options`` has no negation, so that our configuration would mean something else.
    """
    found = _VERSION.search(version_text)
    if found is None:
        return "unknown", Fitness.UNFIT
    version = tuple(int(part) for part in found.groups())
    text = ".".join(found.groups())
    if version < (3, 2, 0):
        return text, Fitness.UNFIT
    return text, Fitness.FIT if version >= (3, 5, 0) else Fitness.OLD


def configuration(modules: tuple[Module, ...], *, timeout: int, as_root: bool, log: Path) -> str:
    """The text of rsyncd.conf. ``timeout`` in seconds of silence.

    ``as_root``: the daemon may chroot into the tree and read everything there. Raises BadInput for a path that
    rsyncd.conf cannot spell.
    """
    lines = [
        f"log file = {_spelled(log)}",
        "max verbosity = 1",
        "reverse lookup = no",
        "forward lookup = no",
        "list = no",
        "read only = yes",
        "numeric ids = yes",
        "munge symlinks = no",
        f"use chroot = {'yes' if as_root else 'no'}",
        *(("uid = 0", "gid = 0") if as_root else ()),
        f"timeout = {timeout}",
        f"refuse options = * {' '.join(f'!{option}' for option in _ALLOWED)}",
    ]
    for module in modules:
        lines += [f"[{image_name(module.name)}]", f"path = {_spelled(module.path)}"]
    return "\n".join(lines) + "\n"


def argv(program: str, config: Path) -> tuple[str, ...]:
    """With a socket as its standard input this daemon serves that one connection (rsync(1), --daemon)."""
    return (program, "--daemon", f"--config={config}")


def _spelled(path: Path) -> str:
    text = str(path)
    if _UNSAFE.search(text):
        raise BadInput(
            f"rsyncd.conf cannot spell the path {text!r}",
            hint="Use a state directory without %, control characters, or spaces at an end.",
        )
    return text
