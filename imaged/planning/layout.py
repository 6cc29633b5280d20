"""Disk layouts: plain data to a checked Layout, and whether a layout can boot an image on a machine."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar, cast

import attrs
from attrs import evolve, frozen

from imaged.model.arch import machine_arch
from imaged.model.codec import decode
from imaged.model.errors import BadInput, CannotPlan
from imaged.model.hardware import Firmware, Inventory
from imaged.model.image import ImageFacts
from imaged.model.layout import Boot, BootFirmware, DiskSpec, Esp, Layout, Partition, Role
from imaged.model.match import Match
from imaged.model.stack import Array, Crypt, OtherMount, SwapFile, ThinPool, Volume, VolumeGroup
from imaged.planning import layout_spellings as spelled
from imaged.planning.layout_draft import DiskDraft, Draft, GroupDraft
from imaged.planning.layout_faults import faults_of
from imaged.planning.layout_rules import starts_by_bios, starts_by_uefi
from imaged.planning.platforms import is_signed, platforms, presets, unified

VERSION = 1
_LISTS = ("disks", "raid", "luks", "lvm", "swap", "mounts")
_GRUB = {
    (Firmware.BIOS, "x86_64"): ("i386-pc", "grub-pc-bin"),
    (Firmware.BIOS, "i686"): ("i386-pc", "grub-pc-bin"),
    (Firmware.UEFI, "x86_64"): ("x86_64-efi", "grub-efi-amd64-bin"),
    (Firmware.UEFI, "aarch64"): ("arm64-efi", "grub-efi-arm64-bin"),
}  # GRUB's platform directories below /usr/lib/grub, and Debian's package of each

T = TypeVar("T")


@frozen
class _File:
    """The keys at the top of a layout file."""

    version: int
    disks: tuple[Any, ...]
    raid: tuple[Any, ...] = ()
    luks: tuple[Any, ...] = ()
    lvm: tuple[Any, ...] = ()
    swap: tuple[Any, ...] = ()
    mounts: tuple[Any, ...] = ()
    esp: Esp | None = None
    boot: Boot = Boot()
    wipe_unknown: bool = False


def read(data: object, name: str) -> Layout:
    """The layout ``name`` from the plain data of its YAML file.

    Raises BadInput with every fault and the path of its key (``disks[0].partitions[2].size.min: ...``).
    """
    faults: list[str] = []
    file = _decoded(_without_items(spelled.top(data), *_LISTS), _File, "", faults)
    draft = Draft(
        disks=tuple(_disk(each, f"disks[{index}]", faults) for index, each in enumerate(_items(data, "disks"))),
        raid=_told(_items(data, "raid"), spelled.array, Array, "raid", faults),
        luks=_told(_items(data, "luks"), spelled.crypt, Crypt, "luks", faults),
        lvm=tuple(_group(each, f"lvm[{index}]", faults) for index, each in enumerate(_items(data, "lvm"))),
        swap=_parts(_items(data, "swap"), SwapFile, "swap", faults),
        mounts=_parts(_items(data, "mounts"), OtherMount, "mounts", faults),
        esp=file.esp if file else None,
        boot=file.boot if file else Boot(),
        complete=not faults,
    )
    if file and file.version != VERSION:
        faults.append(f"version: {file.version} is not a version of layouts that is known here (it is {VERSION})")
    faults += dict.fromkeys(faults_of(draft))
    if file is None or faults:
        raise BadInput("\n  ".join(faults), where=f"layout {name}")
    return _layout(name, draft, wipe_unknown=file.wipe_unknown)


def _layout(name: str, draft: Draft, *, wipe_unknown: bool) -> Layout:
    return Layout(
        name=name,
        disks=draft.specs,
        raid=tuple(each for _, each in draft.raid),
        luks=tuple(each for _, each in draft.luks),
        lvm=tuple(each.group for each in draft.lvm if each.group),
        swap=tuple(each for _, each in draft.swap),
        mounts=tuple(each for _, each in draft.mounts),
        esp=draft.esp,
        boot=draft.boot,
        wipe_unknown=wipe_unknown,
    )


def _disk(data: object, at: str, faults: list[str]) -> DiskDraft:
    """Part by part, so that a fault in one does not hide those of the others."""
    found = len(faults)
    data = spelled.disk(data, partial(_tell, faults, at))
    shell = _decoded(_without_items(data, "match", "partitions"), DiskSpec, at, faults)
    partitions = _parts(map(spelled.partition, _items(data, "partitions")), Partition, f"{at}.partitions", faults)
    matches = _parts(map(spelled.match, _items(data, "match")), Match, f"{at}.match", faults)
    if shell:
        match = tuple(match for _, match in matches) if _has(data, "match") else shell.match
        shell = evolve(shell, partitions=tuple(partition for _, partition in partitions), match=match)
    return DiskDraft(at, shell, partitions, matches, complete=len(faults) == found)


def _group(data: object, at: str, faults: list[str]) -> GroupDraft:
    data = spelled.group(data, partial(_tell, faults, at))
    shell = _decoded(_without_items(data, "lvs", "thin"), VolumeGroup, at, faults)
    lvs = _parts(map(spelled.volume, _items(data, "lvs")), Volume, f"{at}.lvs", faults)
    thin = _parts(_items(data, "thin"), ThinPool, f"{at}.thin", faults)
    if shell:
        shell = evolve(shell, lvs=tuple(each for _, each in lvs), thin=tuple(each for _, each in thin))
    return GroupDraft(at, shell, lvs, thin)


def _told(
    items: list[Any], spell: Callable[[Any, spelled.Tell], Any], kind: type[T], at: str, faults: list[str]
) -> tuple[tuple[str, T], ...]:
    """As ``_parts``, of spellings that may be wrong in themselves."""
    named = (spell(each, partial(_tell, faults, f"{at}[{index}]")) for index, each in enumerate(items))
    return _parts(named, kind, at, faults)


def _tell(faults: list[str], at: str, key: str, what: str) -> None:
    faults.append(f"{at}.{key}: {what}")


def _parts(items: Iterable[object], kind: type[T], at: str, faults: list[str]) -> tuple[tuple[str, T], ...]:
    """Those items that can be read, each with its path."""
    decoded = [(f"{at}[{index}]", _decoded(each, kind, f"{at}[{index}]", faults)) for index, each in enumerate(items)]
    return tuple((path, value) for path, value in decoded if value is not None)


def _decoded(data: object, kind: type[T], at: str, faults: list[str]) -> T | None:
    value, found = decode(data, kind)
    faults += [str(fault.below(at)) for fault in found]
    if value is None and isinstance(data, dict):  # an unknown key shall not hide what is wrong with the known ones
        known = attrs.fields_dict(cast(Any, kind))
        value, _ = decode({key: each for key, each in data.items() if key in known}, kind)
    return value


def _has(data: object, key: str) -> bool:
    return isinstance(data, dict) and key in data


def _items(data: object, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _without_items(data: object, *keys: str) -> object:
    """``data`` with the lists at ``keys`` emptied: they are decoded one by one."""
    if not isinstance(data, dict):
        return data
    return {key: [] if key in keys and isinstance(value, list) else value for key, value in data.items()}


def check(layout: Layout, facts: ImageFacts, inventory: Inventory) -> None:
    """Whether this layout can start this image on this machine. Raises CannotPlan with every reason why not."""
    faults = [
        *_arch_faults(facts, inventory),
        *_firmware_faults(layout, inventory),
        *_image_faults(facts, inventory),
        *_unified_faults(layout, facts, inventory),
        *_crypt_faults(layout, facts),
    ]
    if faults:
        raise CannotPlan("\n  ".join(faults), where=f"layout {layout.name}")


def _arch_faults(facts: ImageFacts, inventory: Inventory) -> Iterator[str]:
    image, machine = machine_arch(facts.arch), machine_arch(inventory.arch)
    if image != machine and (image, machine) != ("i686", "x86_64"):
        yield f"the image is for {image or 'an unknown processor'}, the machine is {machine}"


def _firmware_faults(layout: Layout, inventory: Inventory) -> Iterator[str]:
    wanted = layout.boot.firmware
    if inventory.firmware is Firmware.UEFI:
        if inventory.efi_bits == 32:
            yield (
                "the machine's UEFI firmware is of 32 bits and starts only boot loaders of 32 bits, which installs do "
                "not make; if its setup has BIOS or legacy boot, choose that"
            )
        if wanted is BootFirmware.BIOS:
            yield "boot.firmware is bios, but the machine started by UEFI"
        elif not starts_by_uefi(layout.disks):
            yield "the machine starts by UEFI and the layout has no partition of role esp"
    elif wanted is BootFirmware.UEFI:
        yield "boot.firmware is uefi, but the machine started by BIOS"
    elif not starts_by_bios(layout.disks):
        yield "the machine starts by BIOS and the layout has no partition of role bios_grub (GPT needs one)"


def _unified_faults(layout: Layout, facts: ImageFacts, inventory: Inventory) -> Iterator[str]:
    """Unified kernels are made where mkinitcpio's presets say, and stay where they are if nothing makes them anew:
    firmware must find them there. kernel-install(8) looks for the ESP itself."""
    esps = (each.mount for disk in layout.disks for each in disk.partitions if each.role is Role.ESP and each.mount)
    mount = layout.esp.mount if layout.esp else next(esps, "")
    if inventory.firmware is Firmware.UEFI and mount:
        for path in presets(facts) or (() if "kernel-install" in facts.commands else unified(facts)):
            if not path.startswith(f"{mount}/EFI/Linux/"):
                where = path.partition("/EFI/Linux/")[0]
                yield f"the image makes its kernel at {path}: the layout must mount the ESP at {where}, not at {mount}"


def _crypt_faults(layout: Layout, facts: ImageFacts) -> Iterator[str]:
    """The root is opened by the initramfs; a filesystem that nothing opens would silently be missing."""
    shut = [each.id for each in layout.luks if each.mount not in (None, "", "/")]
    if shut and facts.opens_crypts is False:
        yield (
            f"nothing in the image opens {', '.join(shut)} when it starts (systemd-cryptsetup-generator is missing; "
            "Debian 13's package is systemd-cryptsetup)"
        )


def _image_faults(facts: ImageFacts, inventory: Inventory) -> Iterator[str]:
    if not facts.kernels:
        yield "the image has no kernel"
    platform, package = _GRUB.get((inventory.firmware, machine_arch(facts.arch)), ("", ""))
    if not platform:
        yield f"no GRUB is known for {inventory.firmware.value} on {machine_arch(facts.arch) or 'an unknown processor'}"
    elif platform not in platforms(facts):
        has = f"it has {', '.join(platforms(facts))}" if platforms(facts) else "it has none"
        esp = ""
        if inventory.firmware is Firmware.UEFI and "/boot/efi" in facts.files:
            esp = "; Red Hat's family has it on the EFI system partition: was that mounted when the image was captured?"
        yield f"the image has no GRUB for {platform} ({has}; Debian's package is {package}){esp}"
    elif inventory.firmware is Firmware.UEFI and inventory.secure_boot and not is_signed(facts):
        yield "Secure Boot is on and the image has no signed boot loader (shim-signed and GRUB's signed package)"
