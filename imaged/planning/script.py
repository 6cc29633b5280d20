"""The kernel command line of the boot ramdisk: short, because some loaders cut it at 255 characters."""

import re
from collections.abc import Sequence

from attrs import frozen

_SERIAL = re.compile(r"ttyS(\d+)(?:,(\d+))?", re.ASCII)
_SPEED = 9600  # the kernel's own, where console= names none (Documentation/admin-guide/serial-console.rst)


@frozen
class Serial:
    """A serial port in GRUB's terms."""

    unit: int
    speed: int


def install_arguments(server: str, token: str, console: str, *, rescue: bool = False) -> str:
    """For a boot script; ``rescue`` opens the machine to people and installs nothing."""
    return _joined(f"imaged.server={server}", f"imaged.token={token}", "imaged.rescue=1" * rescue, _consoles(console))


def inventory_arguments(server: str, token: str, console: str) -> str:
    """For a machine that tells its hardware and nothing more."""
    return _joined(f"imaged.server={server}", f"imaged.token={token}", "imaged.inventory=1", _consoles(console))


def medium_arguments(server: str, medium: str, console: str, ip: str = "") -> str:
    """For a boot medium, whose token is traded for one of the node's own. ``ip`` is a whole ``ip=`` or empty."""
    return _joined(f"imaged.server={server}", f"imaged.medium={medium}", ip, _consoles(console))


def memtest_arguments(console: str) -> str:
    """For memtest86+, which knows no console but a serial port beside the screen."""
    found = serial(console)
    return f"console=ttyS{found.unit},{found.speed}" if found else ""


def custom_arguments(append: str, initrds: Sequence[str], console: str) -> str:
    """For a kernel of somebody's own. A kernel's EFI stub reads initial ramdisks by the names on its command line."""
    names = (f"initrd={path.rpartition('/')[2]}" for path in initrds)
    return _joined(*names, append, "" if "console=" in append else _consoles(console))


def serial(console: str) -> Serial | None:
    """The serial port that ``console`` (``ttyS0,115200n8``) names, for GRUB's menu; None for any other console."""
    match = _SERIAL.match(console)
    return Serial(int(match[1]), int(match[2] or _SPEED)) if match else None


def _consoles(console: str) -> str:
    """``console`` in the kernel's notation goes last, so that it becomes /dev/console; tty0 stays beside it."""
    return f"console=tty0 console={console}" if console else "console=tty0"


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)
