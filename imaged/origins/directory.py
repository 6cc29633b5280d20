"""Copies a directory of this machine into a tree, with everything that makes a file; links are copied, not followed."""

from collections.abc import Iterator
from pathlib import Path

from imaged import process
from imaged.model.errors import BadInput, CommandFailed
from imaged.origins.unpacking import Watch, needed
from imaged.planning.importing import copy_argv
from imaged.planning.octal import unescaped

_OF_THE_KERNEL = ("proc", "sys", "dev", "run")
_SHOWN = 8  # lines of trouble in an error


def copy(source: Path, tree: Path, watch: Watch) -> tuple[str, ...]:
    """Fill the empty ``tree``; returns what is mounted in ``source`` and was not taken.

    Raises BadInput for a directory that ``tree`` lies in, CommandFailed for what cannot be read and for a full disk.
    """
    needed("rsync")
    if tree.resolve().is_relative_to(source.resolve()):
        hint = "To make an image of a running machine: imaged getimage HOST --image NAME"
        raise BadInput("the image store lies in it", where=str(source), hint=hint)
    said: list[str] = []

    def on_line(line: str) -> None:
        watch.note(line)
        if line.strip():
            said.append(line)

    argv = copy_argv(str(source.resolve()), str(tree))
    watch.note(f"+ {' '.join(argv)}")
    code = process.stream(argv, on_line, check=False)
    if code:
        hint = "Is something writing there?" if code in (23, 24) else ""
        raise CommandFailed("\n  ".join(said[-_SHOWN:]) or f"rsync ended with {code}", where=str(source), hint=hint)
    return tuple(_mounted(source.resolve(), Path("/proc/self/mountinfo").read_text(errors="surrogateescape")))


def _mounted(source: Path, mountinfo: str) -> Iterator[str]:
    """What is mounted below ``source``, but for what a running kernel has there (proc_pid_mountinfo(5), field 5)."""
    for line in mountinfo.splitlines():
        point = Path(unescaped(line.split()[4]))
        if point != source and point.is_relative_to(source):
            below = point.relative_to(source)
            if below.parts[0] not in _OF_THE_KERNEL:
                yield f"/{below}"
