"""What firmware needs of a composed layout: one ESP that is mounted, room for GRUB of a BIOS on a GPT. Pure."""

from imaged.model.layout import Label, Role
from imaged.planning.imports.composed import Composed, Whole, once
from imaged.planning.imports.foreign import Note


def settle_esps(done: Composed) -> None:
    """One has a mount point of its own; of several one is mounted, and the others are its copies."""
    found = [
        (f"{disk['id']}.{part['id']}", f"disks[{index}].partitions[{number}]", part)
        for index, disk in enumerate(done.data["disks"])
        for number, part in enumerate(disk["partitions"]) if part["role"] == Role.ESP.value
    ]  # fmt: skip
    if not found:
        return
    name, path, first = next((each for each in found if "mount" in each[2]), found[0])
    at = first.get("mount", "/boot/efi")
    if "mount" not in first:
        done.notes.append(Note(done.lines[path], f"{name} is mounted at {at}, where it was mounted nowhere"))
    if len(found) == 1:
        first["mount"] = at
        return
    for _, _, part in found:
        part.pop("mount", None)
    mirrors = [each for each, _, part in found if part is not first]
    done.data["esp"] = {"mount": at, "primary": name, "mirrors": mirrors}
    done.notes.append(Note(done.lines[path], f"{', '.join(mirrors)} become copies of {name}"))


def give_room_to_bios(done: Composed, whole: Whole) -> None:
    """GRUB of a BIOS has no room on a GPT without a partition of its own."""
    disks = done.data["disks"]
    if any(part["role"] == Role.ESP.value for disk in disks for part in disk["partitions"]):
        return
    for index, (disk, was) in enumerate(zip(disks, whole.foreign.disks, strict=True)):
        roles = {part["role"] for part in disk["partitions"]}
        if disk["label"] != Label.GPT.value or "bios_grub" in roles or not roles & {"root", "boot", "raid", "pv"}:
            continue
        id = once("bios", {part["id"] for part in disk["partitions"]})
        disk["partitions"].insert(0, {"id": id, "role": "bios_grub"})
        moved = {key: line for key, line in done.lines.items() if key.startswith(f"disks[{index}].")}
        for number, line in enumerate(moved.values(), start=1):
            done.lines[f"disks[{index}].partitions[{number}]"] = line
        done.lines[f"disks[{index}].partitions[0]"] = was.line
        needed = "a BIOS boot partition, without which no BIOS starts from a GPT"
        done.notes.append(Note(was.line, f"{was.dev} gets {needed}"))
