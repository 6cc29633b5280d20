"""What arrays, encrypted devices and volume groups leave of the devices below them, in bytes, never too much. Pure.

mdadm and lvm decide these things themselves at run time; a plan must not count on a byte more than they give.
"""

from collections.abc import Sequence

from imaged.model.size import KIB, MIB

LUKS2_HEADER = 16 * MIB  # cryptsetup-luksFormat(8), default data offset
_PV_START = MIB  # lvm.conf(5), default_data_alignment: metadata lies in the first MiB
_MD_GRAIN = 512 * KIB  # default chunk
_PARITY = {4: 1, 5: 1, 6: 2}
_LEAST = {0: 1, 1: 1, 4: 3, 5: 2, 6: 4, 10: 2}  # members mdadm wants at least


def least_members(level: int) -> int | None:
    """How many members an array of this level must have; None for a level that is none."""
    return _LEAST.get(level)


def of_member(size: int) -> int:
    """What md uses of a member: without superblock, bitmap and the headroom for a reshape (super1.c: 0.1 %, at most
    128 MiB), on whole chunks."""
    left = size - min(size // 1000, 128 * MIB) - 4 * MIB
    return max(0, left // _MD_GRAIN * _MD_GRAIN)


def of_array(level: int, members: Sequence[int]) -> int:
    """Size of the array: each member counts as much as the smallest. RAID 10 keeps two copies."""
    if not members:
        return 0
    each, count = of_member(min(members)), len(members)
    if level == 0:
        return sum(of_member(size) for size in members)
    if level == 1:
        return each
    if level == 10:
        return each * count // 2 // _MD_GRAIN * _MD_GRAIN
    return each * (count - _PARITY[level])


def member_for(level: int, count: int, wanted: int) -> int:
    """Least size of each of ``count`` members, so that the array has ``wanted`` bytes."""
    if wanted <= 0 or not count:
        return 0
    data = {0: count, 1: 1, 10: max(1, count // 2)}.get(level, count - _PARITY.get(level, 0))
    each = -(-wanted // max(1, data))
    return -(-(each + each // 900 + 5 * MIB) // MIB) * MIB


def of_crypt(size: int) -> int:
    """What a LUKS2 device offers."""
    return max(0, size - LUKS2_HEADER)


def of_group(members: Sequence[int], extent: int, reserve: float) -> int:
    """What volumes may take of a group; ``reserve`` in percent stays free."""
    extents = sum(max(0, size - _PV_START) // extent for size in members)
    return int(extents * (100 - reserve) // 100) * extent


def pool_metadata(size: int, extent: int) -> int:
    """Metadata of a thin pool where the layout says nothing, and as much again for its spare (lvmthin(7)): 64 bytes for
    each 64 KiB chunk, on whole extents."""
    each = max(2 * MIB, size // (64 * KIB) * 64)
    return -(-each // extent) * extent * 2
