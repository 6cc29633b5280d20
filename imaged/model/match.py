"""By what a disk is chosen: conditions on its facts."""

from enum import Enum

from attrs import frozen

from imaged.model.hardware import Bus
from imaged.model.size import SizeBounds


class Pick(Enum):
    """Which of several disks that match."""

    SMALLEST = "smallest"
    LARGEST = "largest"
    FIRST_BY_PATH = "first-by-path"


@frozen
class Match:
    """Conditions on a disk; all must hold. A tuple lists values of which one must, empty: any.

    Texts are shell globs, read without regard to case: ``model`` and ``vendor`` on udev's ID_MODEL and ID_VENDOR
    (a blank and ``_`` are the same), ``serial`` on ID_SERIAL_SHORT, ``wwn`` on ID_WWN, ``path`` on ID_PATH.
    ``sector`` is the logical sector size in bytes.
    """

    bus: tuple[Bus, ...] = ()
    rotational: bool | None = None
    removable: bool = False
    size: SizeBounds | None = None
    model: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()
    wwn: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    sector: int | None = None
    pick: Pick | None = None
