"""Drafts the subvolumes of a golden client's btrfs as plain data of a layout. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from imaged.model.capture import GoldenFacts
from imaged.planning.capture import Kept
from imaged.planning.content_rules import SUBVOLUME


def subvolumes(facts: GoldenFacts, kept: Sequence[Kept]) -> dict[str, Any]:
    """``kept`` are those of one filesystem, the first where the filesystem itself is mounted. Empty where it has none
    that a layout can say."""
    rows = [_row(facts, each) for each in kept if each.volume and SUBVOLUME.fullmatch(each.volume)]
    first = kept[0]
    if not rows:
        return {}
    by_default = {"path": first.volume, "mount": first.at} in rows and not any(_names_one(facts.fstab, first.at))
    return {"default": first.volume, "subvolumes": rows} if by_default else {"subvolumes": rows}


def of_one(kept: Sequence[Kept], first: Kept) -> list[Kept]:
    """Those on the same filesystem as ``first``, itself among them."""
    return [each for each in kept if each.fstype == "btrfs" and each.source.rpartition(" of ")[2] == first.source]


def _row(facts: GoldenFacts, each: Kept) -> dict[str, Any]:
    """One that is not mounted lies in another, where its parent is."""
    row: dict[str, Any] = {"path": each.volume}
    if not each.is_nested:
        row["mount"] = each.at
    return row | ({"nodatacow": True} if each.at in facts.nodatacow else {})


def _names_one(fstab: str, at: str) -> Iterator[str]:
    """Lines that mount there and say which subvolume; the filesystem's own default is meant where none does."""
    for line in fstab.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[1] == at and "subvol" in fields[3]:
            yield line
