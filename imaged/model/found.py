"""What storage the agent found on a machine's disks: tables, arrays, volume groups. Facts only; plans decide."""

from attrs import frozen

_EXTENDED = ("5", "f", "85")


@frozen
class FoundPartition:
    """An entry of a partition table. Bytes throughout; ``type`` is a GPT type UUID or an MBR type (``0x83``).

    ``holds`` is blkid's TYPE of what is in it (``ext4``, ``crypto_LUKS``, ``linux_raid_member``), ``uuid`` and
    ``label`` are that content's. ``name`` is the GPT's.
    """

    number: int
    start: int
    size: int
    name: str = ""
    type: str = ""
    holds: str = ""
    uuid: str = ""
    label: str = ""

    @property
    def is_extended(self) -> bool:
        """Whether it is an MBR's frame of logical partitions."""
        return self.type.lower().removeprefix("0x").lstrip("0") in _EXTENDED


@frozen
class FoundArray:
    """A Linux md array. ``name`` as in its superblock without the host; ``uuid`` as mdadm writes it; ``size`` in bytes.

    ``devices`` are paths in /dev of the members that are there.
    """

    name: str
    uuid: str
    level: int
    devices: tuple[str, ...]
    size: int = 0
    metadata: str = ""
    holds: str = ""
    holds_uuid: str = ""


@frozen
class FoundVolume:
    """A logical volume of a group; ``size`` in bytes, ``layout`` as lvs(8) has it (``linear``, ``thin,pool``)."""

    name: str
    size: int
    holds: str = ""
    uuid: str = ""
    layout: str = ""

    @property
    def is_pool(self) -> bool:
        """Whether it is a thin pool."""
        return self.layout.split(",")[:2] == ["thin", "pool"]

    @property
    def is_thin(self) -> bool:
        """Whether it lies in a thin pool and takes no room of its own in the group."""
        return self.layout.startswith("thin") and not self.is_pool


@frozen
class FoundGroup:
    """An LVM volume group; ``free`` and ``extent`` in bytes, ``devices`` its physical volumes' paths in /dev."""

    name: str
    uuid: str
    devices: tuple[str, ...]
    volumes: tuple[FoundVolume, ...] = ()
    free: int = 0
    extent: int = 4 * 2**20
