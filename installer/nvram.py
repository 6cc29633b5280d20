"""The firmware's boot entries, by efibootmgr(8): read, compared with what the plan wants, changed as little as can be.

NVRAM wears out and some firmware loses or reorders what it holds: an entry that is right already is not written again.
"""

import re
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from imaged.model.errors import ImagedError
from imaged.model.uefi import SetBootEntries
from installer.process import Run

_ENTRY = re.compile(r"Boot([0-9A-Fa-f]{4})(\*?)\s(.*)")
_ORDER = re.compile(r"BootOrder:\s*([0-9A-Fa-f,]*)")
_CURRENT = re.compile(r"BootCurrent:\s*([0-9A-Fa-f]{4})")
_NEXT = re.compile(r"BootNext:\s*([0-9A-Fa-f]{4})")
_PARTITION = re.compile(r"HD\(\d+,GPT,([0-9A-Fa-f-]{36})[^)]*\)/?(?:File\()?([^)\t]*)")
_NETWORK = re.compile(r"MAC\(|MacAddr\(|IPv4\(|IPv6\(|Uri\(|URI\(", re.IGNORECASE)  # UEFI 2.10, 10.3.4


@frozen
class Entry:
    """One Boot#### variable: its number (four hex digits), its name, and the device path as efibootmgr prints it."""

    number: str
    label: str
    path: str
    active: bool = True

    @property
    def partition(self) -> str:
        """The GPT UUID of the partition it loads from, in lower case; empty for other kinds."""
        found = _PARTITION.search(self.path)
        return found[1].lower() if found else ""

    @property
    def loader(self) -> str:
        """The program, as a path with slashes in lower case: FAT and firmware know no case."""
        found = _PARTITION.search(self.path)
        return found[2].replace("\\", "/").lower() if found else ""

    @property
    def from_network(self) -> bool:
        """Whether it boots by a network card: PXE or HTTP."""
        return bool(_NETWORK.search(self.path))


@frozen
class Entries:
    """All that efibootmgr tells: entries, the order of their numbers, the one that comes next only, the present one."""

    entries: tuple[Entry, ...] = ()
    order: tuple[str, ...] = ()
    next: str = ""
    current: str = ""


@frozen
class Wanted:
    """An entry that shall be there: ``partition`` is the GPT UUID of its ESP (lower case)."""

    label: str
    partition: str
    loader: str


@frozen
class Changes:
    """What must be done: numbers to delete, entries to create; ``kept`` numbers are right already."""

    delete: tuple[str, ...]
    create: tuple[Wanted, ...]
    kept: tuple[str, ...]
    forget_next: bool


def read_entries(text: str) -> Entries:
    """From the output of ``efibootmgr -v``, of version 15 to 18. Lines of other kinds are passed over."""
    entries: list[Entry] = []
    order: tuple[str, ...] = ()
    coming = current = ""
    for line in text.splitlines():
        if found := _ENTRY.match(line):
            label, _, path = found[3].partition("\t")
            entries.append(Entry(found[1].upper(), label.strip(), path.strip(), bool(found[2])))
        elif found := _ORDER.match(line):
            order = tuple(number.upper() for number in found[1].split(",") if number)
        elif found := _NEXT.match(line):
            coming = found[1].upper()
        elif found := _CURRENT.match(line):
            current = found[1].upper()
    return Entries(tuple(entries), order, coming, current)


def changes(found: Entries, wanted: tuple[Wanted, ...], label: str) -> Changes:
    """Ours are known by ``label``, alone or with a number: those not wanted, inactive or there twice are deleted."""
    kept: dict[Wanted, str] = {}
    delete = []
    for each in found.entries:
        if not re.fullmatch(rf"{re.escape(label)}( \d+)?", each.label):
            continue
        same = next((w for w in wanted if w not in kept and _is(each, w)), None)
        if same is None:
            delete.append(each.number)
        else:
            kept[same] = each.number
    missing = tuple(each for each in wanted if each not in kept)
    gone = found.next and (found.next in delete or found.next not in {each.number for each in found.entries})
    return Changes(tuple(delete), missing, tuple(kept[each] for each in wanted if each in kept), bool(gone))


def new_order(found: Entries, ours: tuple[str, ...], *, network_first: bool) -> tuple[str, ...]:
    """Of what is there now: the network's entries in their order, ours, all others in theirs; or ours before all.

    Some firmware names a network card in words of its own: then the entry that this ramdisk came by is the network's,
    and where that is not known either, ours come last.
    """
    there = {each.number: each for each in found.entries}
    rest = [number for number in found.order if number in there and number not in ours]
    if not network_first:
        return (*ours, *rest)
    network = [number for number in rest if there[number].from_network]
    network = network or [number for number in rest if number == found.current] or rest
    return (*network, *ours, *(number for number in rest if number not in network))


def set_boot_entries(step: SetBootEntries, run: Run, say: Callable[[str], None], sys: Path = Path("/sys")) -> None:
    """Carry it out. Raises ImagedError where the entry is ``required``, else says what the firmware refused."""
    try:
        _set(step, run, sys)
    except (ImagedError, OSError) as error:
        if step.required:
            raise ImagedError(
                f"the firmware did not take a boot entry: {error}",
                hint="Set boot.removable_path in the layout, which needs none.",
            ) from error
        say(f"The firmware keeps its boot entries as they were: {error}")


def _set(step: SetBootEntries, run: Run, sys: Path) -> None:
    parts = [_partition(device, run, sys) for device in step.devices]
    labels = [step.label, *(f"{step.label} {number}" for number in range(2, len(parts) + 1))]
    wanted = {
        Wanted(label, uuid, step.loader.lower()): where for label, (uuid, where) in zip(labels, parts, strict=True)
    }
    todo = changes(_read(run), tuple(wanted), step.label)
    for number in todo.delete:
        run(("efibootmgr", "--quiet", "--bootnum", number, "--delete-bootnum"))
    if todo.forget_next:
        run(("efibootmgr", "--quiet", "--delete-bootnext"))
    for each in todo.create:
        run(create(each.label, *wanted[each], step.loader))
    now = _read(run)
    ours = changes(now, tuple(wanted), step.label).kept
    if len(ours) < len(wanted):
        raise ImagedError("an entry that was written is not there", where="efibootmgr")
    order = new_order(now, ours, network_first=step.network_first)
    if order != now.order:
        run(("efibootmgr", "--quiet", "--bootorder", ",".join(order)))


def create(label: str, disk: str, number: int, loader: str) -> tuple[str, ...]:
    """``--create-only``: where it comes in the order is said afterwards, so that no moment has it in the network's
    place."""
    path = loader.replace("/", "\\")
    return ("efibootmgr", "--quiet", "--create-only", f"--disk={disk}", f"--part={number}", f"--label={label}",
            f"--loader={path}")  # fmt: skip


def _read(run: Run) -> Entries:
    return read_entries(run(("efibootmgr", "--verbose")).output)


def _is(entry: Entry, wanted: Wanted) -> bool:
    same = (entry.label, entry.partition, entry.loader) == (wanted.label, wanted.partition, wanted.loader)
    return entry.active and same


def _partition(device: str, run: Run, sys: Path) -> tuple[str, tuple[str, int]]:
    """The GPT UUID of an ESP, its disk and its number there. Raises ImagedError for what is no partition of a GPT."""
    name = Path(device).resolve().name
    at = (sys / "class/block" / name).resolve()
    if not (at / "partition").is_file():
        raise ImagedError("is no partition, so the firmware cannot name it", where=device)
    number = int((at / "partition").read_text())
    uuid = run(("blkid", "-p", "-s", "PART_ENTRY_UUID", "-o", "value", device)).output.strip().lower()
    if len(uuid) != 36:
        raise ImagedError("has no UUID in a GPT", where=device)
    return uuid, (f"/dev/{at.parent.name}", number)
