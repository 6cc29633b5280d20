"""What firmware and boot loader need of a whole layout: a root, an ESP that they find, a /boot that GRUB can read."""

import re
from collections.abc import Iterator

from imaged.model.errors import BadInput
from imaged.model.layout import BootFirmware, Esp, Partition, Role
from imaged.model.stack import Crypt, Unlock, Volume
from imaged.planning.layout_draft import Draft, Holder, Mounted
from imaged.planning.layout_rules import starts_by_bios, starts_by_uefi
from imaged.planning.mount_rules import below
from imaged.planning.references import Reference, parse_reference
from imaged.planning.stack_rules import dangling, key_of

_CONSOLE = re.compile(r"[A-Za-z][A-Za-z0-9]*(,[0-9]+[noe]?[78]?r?)?")  # kernel-parameters.txt, console=
_FIRMWARES_OWN = ("/boot/efi", "/efi")
_NEEDED = ("/", "/boot", *_FIRMWARES_OWN, "/usr", "/var")


def console_faults(draft: Draft) -> Iterator[str]:
    """Of the kernel's console."""
    if draft.boot.console and not _CONSOLE.fullmatch(draft.boot.console):
        yield f"boot.console: {draft.boot.console!r} is not a console of the kernel (write it like ttyS0,115200)"


def boot_faults(draft: Draft) -> Iterator[str]:
    """Of everything together."""
    holders = {holder.key: holder for holder in draft.holders()}
    mounted = tuple(draft.mounted())
    if not any(each.mount == "/" for each in mounted):
        yield "disks: nothing is mounted at /"
    yield from _firmware_faults(draft)
    yield from _entry_faults(mounted)
    yield from _esp_faults(draft, holders)
    for path in ("/boot", "/"):
        found = [each for each in mounted if below(path, each.mount)]
        if found:
            holder = max(found, key=lambda each: len(each.mount))
            stack = tuple(_below(holder.holder, holders))
            yield from _grub_faults(holder, stack) if path == "/boot" else _key_faults(stack)


def _firmware_faults(draft: Draft) -> Iterator[str]:
    bios, uefi = starts_by_bios(draft.specs), starts_by_uefi(draft.specs)
    if draft.boot.firmware is BootFirmware.BIOS and not bios:
        yield "boot.firmware: bios needs a partition of role bios_grub on GPT"
    if draft.boot.firmware is BootFirmware.UEFI and not uefi:
        yield "boot.firmware: uefi needs a partition of role esp"
    if draft.boot.firmware is BootFirmware.AUTO and not (bios or uefi):
        yield "disks: no firmware can start this: it has neither a partition of role esp nor one of role bios_grub"


def _entry_faults(mounted: tuple[Mounted, ...]) -> Iterator[str]:
    """Of partitions that are there as often as their entry has disks."""
    for each in mounted:
        entry, content = each.holder.entry, each.holder.content
        if entry is None or not isinstance(content, Partition):
            if each.mount in _FIRMWARES_OWN:
                yield f"{each.at}: firmware reads nothing but partitions of role esp (esp.mirrors keeps copies alike)"
            continue
        if entry.count.max > 1 and content.role is not Role.ESP:
            yield f"{each.at}: the disk entry {entry.id!r} may have several disks, and all would be mounted there"
        if entry.count.min < 1 and each.mount in _NEEDED:
            yield f"{each.at}: the disk entry {entry.id!r} may have no disk (count.min is 0), and {each.mount} must be"


def _esp_faults(draft: Draft, holders: dict[str, Holder]) -> Iterator[str]:
    esps = [holder for holder in holders.values() if _is_esp(holder)]
    if draft.esp is None:
        for holder in esps:
            if not holder.content.mount:
                yield f"{holder.at}.mount: the key 'mount' is missing (usually /boot/efi; 'esp' can say it too)"
        return
    named = {"esp.primary": draft.esp.primary}
    named |= {f"esp.mirrors[{index}]": text for index, text in enumerate(draft.esp.mirrors)}
    references: dict[str, Reference] = {}
    for at, text in named.items():
        try:
            references[at] = parse_reference(text)
        except BadInput as error:
            yield f"{at}: {error.what} ({error.hint.removesuffix('.')})"
            continue
        yield from (f"{at}: {fault}" for fault in _named_esp_faults(at, references[at], draft, holders))
    if draft.esp.mount not in (*_FIRMWARES_OWN, "/boot"):
        yield f"esp.mount: {draft.esp.mount!r} is not one of /boot/efi, /efi, /boot"
    for holder in esps:
        if holder.content.mount:
            yield f"{holder.at}.mount: esp.mount says where it is mounted"
        if holder.key not in {key_of(each) for each in references.values()}:
            yield f"{holder.at}.role: {holder.key} is neither esp.primary nor one of esp.mirrors"
    yield from _same_esp_faults(draft.esp)


def _named_esp_faults(at: str, reference: Reference, draft: Draft, holders: dict[str, Holder]) -> Iterator[str]:
    entries = {spec.id: spec for spec in draft.specs}
    found = tuple(dangling(reference, entries, set(holders)))
    yield from found
    if found:
        return
    if not _is_esp(holders[key_of(reference)]):
        yield f"{reference} is not of role esp"
    elif at == "esp.primary" and reference.every:
        yield f"one is mounted, and {reference} may be several"
    elif at == "esp.primary" and (reference.index or 0) >= entries[reference.disk].count.min:
        yield f"{reference} may be missing (count.min of {reference.disk!r} is {entries[reference.disk].count.min})"


def _same_esp_faults(esp: Esp) -> Iterator[str]:
    names = [esp.primary, *esp.mirrors]
    for index, name in enumerate(esp.mirrors):
        if name in names[: index + 1]:
            yield f"esp.mirrors[{index}]: {name} is named already"


def _is_esp(holder: Holder) -> bool:
    return isinstance(holder.content, Partition) and holder.content.role is Role.ESP


def _below(holder: Holder, holders: dict[str, Holder]) -> Iterator[Holder]:
    """``holder`` and all that it lies on."""
    waiting, seen = [holder], {holder.key}
    while waiting:
        each = waiting.pop()
        yield each
        for text in each.made_of.devices if each.made_of else ():
            try:
                lower = holders.get(key_of(parse_reference(text)))
            except BadInput:
                continue  # told already
            if lower and lower.key not in seen:
                seen.add(lower.key)
                waiting.append(lower)


def _grub_faults(boot: Mounted, stack: tuple[Holder, ...]) -> Iterator[str]:
    """GRUB reads arrays and plain volumes, but of LUKS2 only PBKDF2 (2.12), and cryptsetup makes Argon2id."""
    what = "/boot" if boot.mount == "/boot" else f"/boot, in the filesystem mounted at {boot.mount},"
    own = "give /boot a partition of its own"
    for each in stack:
        if isinstance(each.content, Crypt):
            yield f"{boot.at}: {what} is encrypted ({each.at}), and GRUB cannot open LUKS2 with Argon2; {own}"
        if isinstance(each.content, Volume) and each.content.pool:
            yield f"{boot.at}: {what} is on a thin volume ({each.at}), which GRUB cannot read; {own}"


def _key_faults(stack: tuple[Holder, ...]) -> Iterator[str]:
    for each in stack:
        if isinstance(each.content, Crypt) and Unlock.KEYFILE in each.content.unlock:
            yield f"{each.at}.unlock: it holds /, so a keyfile would lie in what it opens, or in the clear on /boot"
