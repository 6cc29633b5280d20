"""Filesystems, arrays, volume groups and mounts of no disk, as entries of a layout. Pure."""

from typing import Any

from imaged.model.size import MIB
from imaged.planning.imports import amounts, filesystems
from imaged.planning.imports.composed import Composed, Whole
from imaged.planning.imports.foreign import Array, Group, Mount, Note


def content_of(mount: Mount, name: str, whole: Whole, done: Composed) -> dict[str, Any]:
    """Filesystem and mount point of a device."""
    took = filesystems.ours(mount.fs)
    if took is None:
        done.notes.append(
            Note(mount.line, f"{mount.fs[:40]!a} on {name} is not made here: it stays without filesystem")
        )
        return {}
    if not took.same:
        done.notes.append(Note(mount.line, f"{mount.fs[:40]} on {name} becomes {took.fs.value}"))
    options, lost = filesystems.options(mount.options, took)
    if lost:
        said = ",".join(lost)[:200]
        done.notes.append(Note(mount.line, f"mount options of {mount.fs[:40]} are not carried over: {said}"))
    if mount.mkfs and not took.same:
        said = " ".join(mount.mkfs)[:200]
        done.notes.append(Note(mount.line, f"options of mkfs.{mount.fs[:40]} are not carried over: {said}"))
    if name in whole.kept:
        done.notes.append(
            Note(mount.line, f"{name} is not formatted: preserve: required, so an install needs it there")
        )
    made: dict[str, Any] = {"fs": took.fs.value}
    made |= {"mount": mount.at} if mount.at else {}
    made |= {"options": options} if options and mount.at else {}
    made |= {"label": mount.label} if mount.label else {}
    return made | ({"mkfs": list(mount.mkfs)} if mount.mkfs and took.same else {})


def array_entry(array: Array, index: int, whole: Whole, done: Composed) -> dict[str, Any]:
    """An entry of ``raid``."""
    done.lines[f"raid[{index}]"] = array.line
    mount = whole.mounts.get(array.dev)
    made: dict[str, Any] = {"id": whole.names[array.dev], "level": array.level}
    made["devices"] = [whole.names[member] for member in array.members]
    made |= {"spares": array.spares} if array.spares else {}
    made |= content_of(mount, array.dev, whole, done) if mount else {}
    return made | ({"preserve": "required"} if array.dev in whole.kept else {})


def group_entry(group: Group, index: int, whole: Whole, done: Composed) -> dict[str, Any]:
    """An entry of ``lvm``."""
    done.lines[f"lvm[{index}]"] = group.line
    made: dict[str, Any] = {"vg": group.name, "devices": [whole.names[member] for member in group.members]}
    if group.extent:
        made["extent"] = group.extent if group.extent % MIB else amounts.shown(group.extent)
    if f"volume group {group.name}" in whole.kept:
        made["preserve"] = "required"
    volumes = []
    for number, volume in enumerate(group.volumes):
        dev = f"/dev/{group.name}/{volume.name}"
        done.lines[f"lvm[{index}].lvs[{number}]"] = volume.line
        if whole.names[dev] != volume.name:
            renamed = f"volume {volume.name[:80]} of {group.name[:80]} is called {whole.names[dev]} here"
            done.notes.append(Note(volume.line, renamed))
        mount = whole.mounts.get(dev)
        sizes = [each.size for each in group.volumes]
        one: dict[str, Any] = {"id": whole.names[dev], "size": amounts.size(volume.size, sizes)}
        if mount and mount.swap:
            one["swap"] = True
        elif mount:
            one |= content_of(mount, dev, whole, done)
        if dev in whole.kept:
            one["preserve"] = "required"
        volumes.append(one)
    return made | {"lvs": volumes}


def mount_entry(mount: Mount, index: int, done: Composed) -> dict[str, Any]:
    """An entry of ``mounts``."""
    done.lines[f"mounts[{index}]"] = mount.line
    options = mount.options.replace(" ", "") or "defaults"
    return {"what": mount.dev, "mount": mount.at, "type": mount.fs, "options": options}
