"""What layouts of other programs say, in one vocabulary: disks, arrays, volume groups, mounts. Values only.

Devices are named as there (``/dev/sda1``, ``/dev/md0``, ``/dev/VG/LV``). Lines count from 1; 0: no line in particular.
"""

from typing import Any

from attrs import evolve, frozen

from imaged.model.layout import Label, Role


@frozen(order=True)
class Note:
    """Something that is not carried over as it was, or at all; ``what`` is a sentence without its full stop."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


@frozen
class Imported:
    """A layout as the plain data of its file, which ``planning.layout.read`` takes."""

    layout: dict[str, Any]
    notes: tuple[Note, ...]


@frozen
class Amount:
    """A size: bytes, percent of the whole, or what the others leave (neither)."""

    bytes: int | None = None
    percent: float | None = None

    @property
    def rest(self) -> bool:
        """Whether it takes what is left."""
        return self.bytes is None and self.percent is None


REST = Amount()


@frozen
class Part:
    """A partition. ``role`` None: what it carries decides. ``type`` is the MBR's in hexadecimal, if no role has it."""

    line: int
    number: int
    size: Amount
    role: Role | None = None
    name: str = ""
    type: str = ""


@frozen
class Disk:
    """A disk, without what is no partition of its own (the extended one)."""

    line: int
    dev: str
    label: Label
    parts: tuple[Part, ...]


@frozen
class Array:
    """A software RAID; spares are the last of ``members``."""

    line: int
    dev: str
    level: int
    members: tuple[str, ...]
    spares: int = 0


@frozen
class Volume:
    """A logical volume."""

    line: int
    name: str
    size: Amount


@frozen
class Group:
    """A volume group; ``extent`` in bytes, 0: as lvm chooses."""

    line: int
    name: str
    members: tuple[str, ...]
    volumes: tuple[Volume, ...]
    extent: int = 0


@frozen
class Mount:
    """What a device carries. ``at`` is empty for swap and for what is not mounted; ``keep``: it is not formatted."""

    line: int
    dev: str
    at: str
    fs: str
    options: str = ""
    label: str = ""
    mkfs: tuple[str, ...] = ()
    keep: bool = False

    @property
    def swap(self) -> bool:
        """Whether it is no filesystem at all."""
        return self.fs == "swap"


@frozen
class Foreign:
    """A whole layout of another program."""

    disks: tuple[Disk, ...] = ()
    arrays: tuple[Array, ...] = ()
    groups: tuple[Group, ...] = ()
    mounts: tuple[Mount, ...] = ()
    notes: tuple[Note, ...] = ()

    def noting(self, line: int, what: str) -> "Foreign":
        """The same with one more note."""
        return evolve(self, notes=(*self.notes, Note(line, what)))
