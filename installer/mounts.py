"""Mounting below the target root, and unmounting all of it."""

import os
from pathlib import Path

from imaged.model.plan import Mount
from installer.chroot import end_stragglers
from installer.inventory import octal
from installer.process import Run
from installer.tree import inside, make_directories


def mount(step: Mount, root: Path, run: Run) -> None:
    """Mount the device at its place, which is made where the tree has none yet."""
    place = inside(root, step.at)
    make_directories(place)
    run(argv(step, place))


def argv(step: Mount, place: Path) -> tuple[str, ...]:
    """mount(8) with type and options as planned."""
    options = ("-o", step.options) if step.options else ()
    return ("mount", "-t", step.fs.value, *options, step.device, str(place))


def unmount(root: Path, run: Run) -> None:
    """Everything at and below ``root``, after all data has reached the disks."""
    end_stragglers(root)
    os.sync()
    for place in below(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"), root):
        run(("umount", place))


def below(mountinfo: str, root: Path) -> tuple[str, ...]:
    """Mount points at and below ``root``, deepest first; what was mounted over another comes off before it."""
    places = (octal(line.split(" ")[4]) for line in mountinfo.splitlines() if line.count(" ") > 4)
    ours = [place for place in places if Path(place).is_relative_to(root)]
    ours.reverse()
    return tuple(sorted(ours, key=lambda place: -len(Path(place).parts)))
