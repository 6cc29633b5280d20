"""Which text files of a tree name disks, and by which names. Only these are kept: such files may hold secrets."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from imaged.store.tree import Tree

_WHERE = ("/etc", "/boot", "/efi")
_LARGEST = 256 << 10  # bytes; configuration is shorter, and what is longer is a kernel
_MOST_FILES, _MOST_NAMES = 200, 8
_HEX = "[0-9A-Fa-f]"
_UUID = rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
_ID = rf"(?:{_UUID}|{_HEX}{{4}}-{_HEX}{{4}}|{_HEX}{{8}}-\d\d)"  # of filesystems and LUKS, of vfat, of MBR's partitions
_NAMES = re.compile(
    rf"""(?:PART)?UUID=["']?{_ID}\b
    | /dev/disk/by-[a-z]+/[\w.:+\\-]+
    | /dev/(?:sd[a-z]{{1,3}}|x?vd[a-z]{{1,2}}|hd[a-z]|nvme\d+n\d+|mmcblk\d+|dasd[a-z]{{1,3}})p?\d*\b
    | /dev/(?:md\d+|md/[\w.:-]+|mapper/(?!control\b)[\w.+-]+)""",
    re.VERBOSE,
)
_FSTAB = re.compile(rf"UUID=[\"']?({_UUID})|/by-uuid/({_UUID})")
_COMMENT = ("#", ";", "//")
_NO_DISKS = "/etc/sysconfig/network-scripts/ifcfg-"  # their UUIDs are of connections
# Left by package tools and editors, read by nobody.
_OLD = re.compile(r"~$|\.(bak|old|orig|rpmnew|rpmsave|ucf-\w+|dpkg-\w+)$|^\.#")


def device_names(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Path to names, in their order: ``UUID=...``, ``/dev/disk/by-id/...``, ``/dev/sda1``, and UUIDs of fstab(5).

    Comments do not count: examples of them are in every system.
    """
    said = {one or other for one, other in _FSTAB.findall(tree.text("/etc/fstab"))}
    found: dict[str, tuple[str, ...]] = {}
    for path, text in _texts(tree):
        names = tuple(dict.fromkeys(_named(text, said)))[:_MOST_NAMES]
        if names:
            found[path] = names
        if len(found) == _MOST_FILES:
            break
    return found


def _named(text: str, said: set[str]) -> Iterator[str]:
    for line in text.splitlines():
        if not line.lstrip().startswith(_COMMENT):
            named = [re.sub("[\"']", "", each) for each in _NAMES.findall(line)]
            yield from named
            yield from (each for each in sorted(said) if each in line and not any(each in one for one in named))


def _texts(tree: Tree) -> Iterator[tuple[str, str]]:
    for top in _WHERE:
        at = tree.root / top[1:]
        if at.is_symlink():
            continue
        for directory, names, files in os.walk(at):
            names.sort()
            for name in sorted(files):
                path = Path(directory, name)
                inside = f"/{path.relative_to(tree.root)}"
                if not _OLD.search(name) and not inside.startswith(_NO_DISKS) and (text := _text(path)):
                    yield inside, text


def _text(path: Path) -> str:
    """Empty for what is no text, is too long, or is a link: what it points to is looked at where it lies."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
        return ""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", "replace")
