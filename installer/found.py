"""PURE: what udev, mdadm(8), lvm(8) and blkid(8) print becomes the storage that was found on disks."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from imaged.model.errors import ImagedError
from imaged.model.found import FoundArray, FoundGroup, FoundPartition, FoundVolume

MEMBER = "linux_raid_member"
TABLES = ("gpt", "dos")
_SECTOR = 512  # udev and sysfs count in these whatever the disk's sectors are
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_LEVEL = re.compile(r"raid(\d+)")
_PLACE = re.compile(r"\[?([^\[\]()]+)\]?\((\d+)\)")  # /dev/sda2(0), [lv_rimage_0](0)
# What `lvm fullreport` is asked for: one table of rows for each kind, each with these columns.
COLUMNS = {
    "vg": "vg_name,vg_uuid,vg_free,vg_extent_size",
    "pv": "pv_name,pe_start",
    "lv": "lv_name,lv_size,lv_layout,lv_role",
    "pvseg": "pvseg_start",
    "seg": "lv_name,seg_start,segtype,devices",
}


@frozen
class Extent:
    """Where a volume begins: a device and bytes from its start."""

    device: str
    offset: int


def decoded(text: str) -> str:
    r"""udev writes what is no plain letter as ``\x20``."""
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text.encode()).decode(errors="replace")


def partition(udev: Mapping[str, str]) -> FoundPartition | None:
    """From a partition's properties; None where the kernel shows one that no table has (an old BSD label's, say)."""
    try:
        number, start, size = (
            int(udev[key]) for key in ("ID_PART_ENTRY_NUMBER", "ID_PART_ENTRY_OFFSET", "ID_PART_ENTRY_SIZE")
        )
    except (KeyError, ValueError):
        return None
    return FoundPartition(
        number=number,
        start=start * _SECTOR,
        size=size * _SECTOR,
        name=decoded(udev.get("ID_PART_ENTRY_NAME", "")),
        type=udev.get("ID_PART_ENTRY_TYPE", ""),
        holds=udev.get("ID_FS_TYPE", ""),
        uuid=udev.get("ID_FS_UUID", ""),
        label=decoded(udev.get("ID_FS_LABEL_ENC", "")) or udev.get("ID_FS_LABEL", ""),
    )


def exported(text: str) -> dict[str, str]:
    """``KEY=VALUE`` lines, as ``mdadm --export`` and ``blkid -o export`` print them."""
    return {key: value for key, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


def array(members: Mapping[str, Mapping[str, str]], uuid: str) -> FoundArray:
    """The array of that UUID from what its members' superblocks say; ``members`` by path."""
    mine = {path: facts for path, facts in members.items() if facts.get("MD_UUID") == uuid}
    facts = next(iter(mine.values()))
    level = _LEVEL.fullmatch(facts.get("MD_LEVEL", ""))
    return FoundArray(
        name=facts.get("MD_NAME", "").rpartition(":")[2],
        uuid=uuid,
        level=int(level[1]) if level else -1,  # linear and whatever else md(4) knows
        devices=tuple(sorted(mine)),
    )


def uuids(members: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Of all arrays that have members here. A container of firmware RAID is none that we could make or keep."""
    found = {facts["MD_UUID"]: None for facts in members.values() if _is_array(facts)}
    return tuple(found)


def _is_array(facts: Mapping[str, str]) -> bool:
    return "MD_UUID" in facts and facts.get("MD_LEVEL") != "container"


def groups(text: str) -> tuple[tuple[FoundGroup, dict[str, Extent]], ...]:
    """``lvm fullreport --reportformat json`` with COLUMNS in plain bytes: each group, and where its volumes begin.

    Physical volumes without a group are not told. Raises ImagedError where lvm prints something else.
    """
    try:
        reports = json.loads(text)["report"]
        return tuple(_group(each) for each in reports if each.get("vg"))
    except (ValueError, KeyError, TypeError) as error:
        raise ImagedError(f"lvm's report is not as expected: {error!r}") from None


def _group(report: Mapping[str, Any]) -> tuple[FoundGroup, dict[str, Extent]]:
    facts, volumes = report["vg"][0], [each for each in report["lv"] if _is_seen(each)]
    group = FoundGroup(
        name=facts["vg_name"],
        uuid=facts["vg_uuid"],
        devices=tuple(sorted(each["pv_name"] for each in report["pv"])),
        volumes=tuple(
            FoundVolume(each["lv_name"], int(each["lv_size"]), layout=each.get("lv_layout", "")) for each in volumes
        ),
        free=int(facts["vg_free"]),
        extent=int(facts["vg_extent_size"]),
    )
    starts = {each["pv_name"]: int(each["pe_start"]) for each in report["pv"]}
    begins = ((each["lv_name"], _begin(each["lv_name"], report["seg"], starts, group.extent)) for each in volumes)
    return group, {name: place for name, place in begins if place}


def _is_seen(volume: Mapping[str, str]) -> bool:
    """Not the parts that lvm hides in brackets."""
    return not volume["lv_name"].startswith("[")


def _begin(name: str, segments: Iterable[Mapping[str, str]], starts: Mapping[str, int], extent: int) -> Extent | None:
    """The first byte of a volume. None for thin and other volumes that have no place of their own.

    Of stripes and mirrors it is the first leg's: superblocks lie within the first stripe.
    """
    rows = {each["lv_name"].strip("[]"): each for each in segments if each["seg_start"] == "0"}
    for _ in rows:  # a leg of a mirror is a volume itself; never deeper than there are volumes
        row = rows.get(name)
        place = _PLACE.match(row["devices"]) if row and not row["segtype"].startswith(("thin", "cache")) else None
        if place is None:
            return None
        if place[1] in starts:
            return Extent(place[1], starts[place[1]] + int(place[2]) * extent)
        name = place[1]
    return None
