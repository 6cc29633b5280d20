"""What is mounted where in a layout: nothing twice; mounts of no disk, swap files, labels."""

import re
from collections.abc import Iterable, Iterator

from imaged.model.stack import Filesystem, OtherMount, SwapFile
from imaged.planning.content_rules import options_faults, path_faults
from imaged.planning.layout_draft import Draft, Mounted
from imaged.planning.layout_rules import size_faults

_TYPE = re.compile(r"[a-z0-9._-]+")
_WHAT = re.compile(r"[!-~]+")

Named = tuple[str, str, tuple[str, ...]]  # path of a key, its value, the conditions of what it belongs to


def mount_faults(draft: Draft) -> Iterator[str]:
    """Of all mount points, swap files and labels together."""
    mounted = tuple(draft.mounted())
    at_esp: list[Named] = [("esp.mount", draft.esp.mount, ())] if draft.esp else []
    yield from _twice(
        [
            *((each.at, each.mount, each.when) for each in mounted),
            *at_esp,
            *((f"{at}.mount", each.mount, (each.when,)) for at, each in draft.mounts),
        ]
    )
    labels = ((f"{each.at}.label", each.content.label, each.when) for each in draft.holders() if each.content.label)
    yield from _twice(labels)
    for at, other in draft.mounts:
        yield from _other_faults(at, other)
    yield from _twice((f"{at}.file", each.file, (each.when,)) for at, each in draft.swap)
    for at, file in draft.swap:
        yield from _swap_faults(at, file, mounted)


def _twice(named: Iterable[Named]) -> Iterator[str]:
    """Two of one name under different conditions may be alternatives; under the same, or none, they are not."""
    seen: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for at, name, when in named:
        conditions = tuple(filter(None, when))
        for earlier, other in seen.get(name, []):
            if not (conditions and other and conditions != other):
                yield f"{at}: {name!r} is there already ({earlier})"
                break
        seen.setdefault(name, []).append((at, conditions))


def _other_faults(at: str, other: OtherMount) -> Iterator[str]:
    if not _WHAT.fullmatch(other.what):
        yield f"{at}.what: {other.what!r} must be one word (a blank is \\040 in fstab)"
    elif other.what.startswith("/dev/") or other.what.startswith(("UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")):
        yield f"{at}.what: {other.what!r} is a disk: it belongs under disks, raid, luks or lvm"
    if not _TYPE.fullmatch(other.type):
        yield f"{at}.type: {other.type!r} is no type of filesystem"
    if other.mount in ("", "/"):
        yield f"{at}.mount: {other.mount!r} must be on a disk"
    elif not other.mount.startswith(("/run/", "/dev/shm", "/sys/", "/proc/")):
        yield from (f"{at}.mount: {fault}" for fault in path_faults(other.mount))
    yield from options_faults(at, other.options)


def _swap_faults(at: str, file: SwapFile, mounted: Iterable[Mounted]) -> Iterator[str]:
    yield from size_faults(f"{at}.size", file.size)
    faults = [*path_faults(file.file)] or (["'/' is no file"] if file.file == "/" else [])
    yield from (f"{at}.file: {fault}" for fault in faults)
    if faults:
        return
    if any(file.file == each.mount for each in mounted):
        yield f"{at}.file: {file.file!r} is a mount point"
    holder = max(
        (each for each in mounted if below(file.file, each.mount)), key=lambda each: len(each.mount), default=None
    )
    if holder and holder.holder.content.fs is Filesystem.VFAT:
        yield f"{at}.file: vfat, which is mounted at {holder.mount}, cannot hold it"


def below(path: str, mount: str) -> bool:
    """Whether ``path`` is in the filesystem mounted there, if no other is mounted between."""
    return mount == "/" or path == mount or path.startswith(mount + "/")
