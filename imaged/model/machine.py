"""A machine that was seen to network-boot, whether or not it is a node of ours, and what strangers are asked."""

from enum import Enum

from attrs import frozen

from imaged.model.net import Mac

# Of the MACs that `imaged doctor` makes up to look for other DHCP servers: locally administered, and never a machine's.
PROBE_MACS = b"\x02imd"


class Discovery(Enum):
    """What a machine without a name does at its network boot. ``off``: it is left alone, its DHCP requests are kept;
    ``ask``: its iPXE tells vendor, model and serial number; ``inventory``: our ramdisk tells all of its hardware."""

    OFF = "off"
    ASK = "ask"
    INVENTORY = "inventory"


class Next(Enum):
    """What a machine does that has told its hardware. ``wait``: until it has a name."""

    REBOOT = "reboot"
    SHUTDOWN = "shutdown"
    WAIT = "wait"


@frozen
class Machine:
    """What its DHCP requests told. Times are seconds since the epoch.

    ``vendor`` to ``asset`` are SMBIOS strings that its iPXE told (at ``told``) or its inventory (``inventoried``);
    None: it has not yet. ``ignored``: it is never to be offered.
    """

    mac: Mac
    uuid: str = ""
    arch: str = ""
    vendor_class: str = ""
    relay: str = ""
    address: str = ""
    first_seen: float = 0.0
    last_seen: float = 0.0
    vendor: str = ""
    product: str = ""
    serial: str = ""
    asset: str = ""
    told: float | None = None
    inventoried: float | None = None
    ignored: bool = False


@frozen
class Label:
    """What a machine's iPXE reads in its SMBIOS: types 1 and 3 (SMBIOS 3.x, sections 7.2 and 7.4)."""

    vendor: str = ""
    product: str = ""
    serial: str = ""
    asset: str = ""
