"""Disk layouts: plain data to a checked Layout, and whether a layout can boot an image on a machine."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

import attrs
from attrs import evolve, frozen

from imaged.model.codec import decode
from imaged.model.errors import BadInput, CannotPlan
from imaged.model.hardware import Firmware, Inventory
from imaged.model.image import ImageFacts
from imaged.model.layout import Boot, BootFirmware, DiskSpec, Layout, Match, Partition, Role
from imaged.planning.layout_rules import Draft, faults_of, starts_by_bios, starts_by_uefi

VERSION = 1
_TEXTS = ("model", "vendor", "serial", "wwn", "path")
_TUPLES = ("bus", *_TEXTS)
_ARCH_NAMES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "i586": "i686"}
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
    boot: Boot = Boot()


def read(data: object, name: str) -> Layout:
    """The layout ``name`` from the plain data of its YAML file.

    Raises BadInput with every fault and the path of its key (``disks[0].partitions[2].size.min: ...``).
    """
    faults: list[str] = []
    file = _decoded(_without_items(data, "disks"), _File, "", faults)
    drafts = tuple(_disk(each, f"disks[{index}]", faults) for index, each in enumerate(_items(data, "disks")))
    if file and file.version != VERSION:
        faults.append(f"version: {file.version} is not a version of layouts that is known here (it is {VERSION})")
    faults += faults_of(drafts, file.boot if file else Boot())
    disks = tuple(draft.spec for draft in drafts if draft.spec)
    if file is None or faults:
        raise BadInput("\n  ".join(faults), where=f"layout {name}")
    return Layout(name, disks, boot=file.boot)


def _disk(data: object, at: str, faults: list[str]) -> Draft:
    """Part by part, so that a fault in one does not hide those of the others."""
    found = len(faults)
    shell = _decoded(_without_items(_listed(data, ("match",)), "match", "partitions"), DiskSpec, at, faults)
    partitions = _parts(map(_sized, _items(data, "partitions")), Partition, f"{at}.partitions", faults)
    alternatives = (_texts(_listed(each, _TUPLES)) for each in _items(_listed(data, ("match",)), "match"))
    matches = _parts(alternatives, Match, f"{at}.match", faults)
    if shell:
        match = tuple(match for _, match in matches) if _has(data, "match") else shell.match
        shell = evolve(shell, partitions=tuple(partition for _, partition in partitions), match=match)
    return Draft(at, shell, partitions, matches, complete=len(faults) == found)


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


def _listed(data: object, keys: tuple[str, ...]) -> object:
    """A single value where a list may stand is a list of one."""
    if not isinstance(data, dict):
        return data
    return {
        key: [value] if key in keys and not isinstance(value, list) and value is not None else value
        for key, value in data.items()
    }


def _texts(data: object) -> object:
    """A serial number of digits only is a number to YAML."""
    if not isinstance(data, dict):
        return data
    return {
        key: [str(each) if type(each) is int else each for each in value]
        if key in _TEXTS and isinstance(value, list)
        else value
        for key, value in data.items()
    }


def _sized(data: object) -> object:
    """A BIOS boot partition holds GRUB's core image (31 to 500 KiB): 1 MiB is always right."""
    if isinstance(data, dict) and data.get("role") == Role.BIOS_GRUB.value:
        return {"size": "1M", **data}
    return data


def check(layout: Layout, facts: ImageFacts, inventory: Inventory) -> None:
    """Whether this layout can start this image on this machine. Raises CannotPlan with every reason why not."""
    faults = [
        *_arch_faults(facts, inventory),
        *_firmware_faults(layout, inventory),
        *_image_faults(facts, inventory),
    ]
    if faults:
        raise CannotPlan("\n  ".join(faults), where=f"layout {layout.name}")


def _arch(name: str) -> str:
    return _ARCH_NAMES.get(name, name)


def _arch_faults(facts: ImageFacts, inventory: Inventory) -> Iterator[str]:
    image, machine = _arch(facts.arch), _arch(inventory.arch)
    if image != machine and (image, machine) != ("i686", "x86_64"):
        yield f"the image is for {image or 'an unknown processor'}, the machine is {machine}"


def _firmware_faults(layout: Layout, inventory: Inventory) -> Iterator[str]:
    wanted = layout.boot.firmware
    if inventory.firmware is Firmware.UEFI:
        if wanted is BootFirmware.BIOS:
            yield "boot.firmware is bios, but the machine started by UEFI"
        elif not starts_by_uefi(layout.disks):
            yield "the machine starts by UEFI and the layout has no partition of role esp"
    elif wanted is BootFirmware.UEFI:
        yield "boot.firmware is uefi, but the machine started by BIOS"
    elif not starts_by_bios(layout.disks):
        yield "the machine starts by BIOS and the layout has no partition of role bios_grub (GPT needs one)"


def _image_faults(facts: ImageFacts, inventory: Inventory) -> Iterator[str]:
    if not facts.kernels:
        yield "the image has no kernel"
    platform, package = _GRUB.get((inventory.firmware, _arch(facts.arch)), ("", ""))
    if not platform:
        yield f"no GRUB is known for {inventory.firmware.value} on {_arch(facts.arch) or 'an unknown processor'}"
    elif platform not in facts.grub_platforms:
        has = f"it has {', '.join(facts.grub_platforms)}" if facts.grub_platforms else "it has none"
        yield f"the image has no GRUB for {platform} ({has}; Debian's package is {package})"
    elif inventory.firmware is Firmware.UEFI and inventory.secure_boot and not facts.grub_signed:
        yield "Secure Boot is on and the image has no signed boot loader (shim-signed and GRUB's signed package)"
