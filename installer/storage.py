"""Looks at what arrays and volume groups lie on the disks, and changes not a byte of them.

Arrays are started read-only, for groups may lie on them (the kernel then writes the header of a bitmap again, with what
it holds), and volumes not at all: their beginnings are read where they lie. Before and after, nothing runs: what is
wiped and what stays is the plan's to say.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve

from imaged.model.found import FoundArray, FoundGroup
from imaged.model.hardware import Inventory
from imaged.model.net import Mac
from installer import found, udev
from installer.found import Extent
from installer.groups import lvm
from installer.inventory import mounted
from installer.process import Run
from installer.wipe import mapped, stop, swaps

_BLOCK = Path("/sys/class/block")
_SECTOR = 512
_LOOK = "look"  # with a number: what arrays are called while they are looked at
_PLAIN = ("--reportformat", "json", "--units", "b", "--nosuffix")


def take(boot_mac: Mac | None, run: Run, *, start: bool = True) -> Inventory:
    """Everything a plan may depend on, as it is now; storage that an earlier attempt left running is stopped.

    Without ``start`` no array is started, not even read-only: what is in them and on them stays unknown.
    """
    quiet(run)
    inventory = udev.take(boot_mac)
    try:
        known = arrays(run, start=start)
        return evolve(inventory, arrays=tuple(known.values()), groups=groups(known, run))
    finally:
        quiet(run)


def arrays(run: Run, *, start: bool = True) -> dict[str, FoundArray]:
    """Every array that a member is here of, by its device; size and content only of those that could be started.

    They run afterwards, read-only. Firmware RAID is left alone: its volumes are kept in step by a daemon that writes.
    """
    paths = udev.holding(found.MEMBER)
    members = {path: found.exported(_said(run, "mdadm", "--examine", "--export", path)) for path in paths}
    known = tuple(found.array(members, uuid) for uuid in found.uuids(members))
    for number, array in enumerate(known if start else ()):
        run(look_at(array, f"/dev/md/{_LOOK}{number}"), check=False)
    run(("udevadm", "settle"))
    devices = {f"/dev/md/{_LOOK}{number}": array for number, array in enumerate(known)}
    return {str(Path(path).resolve()): _complete(array, Path(path), run) for path, array in devices.items()}


def look_at(array: FoundArray, device: str) -> tuple[str, ...]:
    """mdadm --assemble, also of an array that lacks members: nothing is written to it, so nothing can be spoilt."""
    return (
        "mdadm", "--assemble", device, "--config=partitions", "--homehost=any", "--readonly", "--run",
        f"--uuid={array.uuid}", *array.devices,
    )  # fmt: skip


def _complete(array: FoundArray, device: Path, run: Run) -> FoundArray:
    if not device.exists():
        return array
    place = _BLOCK / device.resolve().name
    size = int(udev.read(place / "size") or "0") * _SECTOR
    content = probe(Extent(str(device), 0), run) if size else {}
    return evolve(
        array,
        size=size,
        metadata=udev.read(place / "md/metadata_version"),
        holds=content.get("TYPE", ""),
        holds_uuid=content.get("UUID", ""),
    )


def groups(known: Mapping[str, FoundArray], run: Run) -> tuple[FoundGroup, ...]:
    """Every volume group. A physical volume that is an array has the name by which plans know that (/dev/md/NAME)."""
    said = _said(run, *report()) or '{"report": []}'  # nothing at all where it cannot talk to the kernel
    names = {path: f"/dev/md/{array.name}" for path, array in known.items()}
    return tuple(
        evolve(_with_contents(group, begins, run), devices=tuple(names.get(each, each) for each in group.devices))
        for group, begins in found.groups(said)
    )


def report() -> tuple[str, ...]:
    """What lvm is asked for; those groups too that belong to another system."""
    columns = (word for kind, names in found.COLUMNS.items() for word in ("--configreport", kind, "-o", names))
    return lvm("fullreport", "--readonly", "--foreign", "--all", *_PLAIN, *columns)


def _with_contents(group: FoundGroup, begins: Mapping[str, Extent], run: Run) -> FoundGroup:
    contents = {name: probe(place, run) for name, place in begins.items()}
    nothing: Mapping[str, str] = {}
    return evolve(
        group,
        volumes=tuple(
            evolve(each, holds=contents.get(each.name, nothing).get("TYPE", ""),
                   uuid=contents.get(each.name, nothing).get("UUID", ""))
            for each in group.volumes
        ),
    )  # fmt: skip


def probe(place: Extent, run: Run) -> dict[str, str]:
    """What blkid(8) recognises there: TYPE, UUID, LABEL; nothing where it is unknown or could be two things."""
    return found.exported(_said(run, "blkid", "-p", "-o", "export", "-O", str(place.offset), place.device))


def quiet(run: Run) -> None:
    """Stop every array and mapped device that nobody uses, highest first, until none is left."""
    while idle := tuple(_idle()):
        for argv in stop(idle, frozenset(), mapped(idle)):
            run(argv, check=False)
        run(("udevadm", "settle"))
        if set(idle) == set(_idle()):  # it would be so for ever
            return


def _idle() -> Iterator[str]:
    used = mounted(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    swapping = swaps(Path("/proc/swaps").read_text())
    for name in (*_names("dm-*"), *_names("md*")):
        paths = {
            f"/dev/{name}",
            f"/dev/mapper/{udev.read(_BLOCK / name / 'dm/name')}",
            udev.read(_BLOCK / name / "dev"),
        }
        busy = any((_BLOCK / name / "holders").iterdir()) or paths & {*used, *swapping}
        # An array without anything in it is what the kernel makes of a look at /dev/md127.
        if not busy and udev.read(_BLOCK / name / "md/array_state") != "clear":
            yield name


def _names(pattern: str) -> tuple[str, ...]:
    """Of whole devices, not of partitions of an array."""
    return tuple(sorted(each.name for each in _BLOCK.glob(pattern) if not (each / "partition").exists()))


def _said(run: Run, *argv: str) -> str:
    """What a program prints, whatever it thinks of the rest."""
    return run(argv, check=False).output
