"""Each rule of layouts, broken alone in a layout that has every part: the exact message, and no other."""

import contextlib
import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.planning.layout import read
from imaged.store import yamlfile

_EVERYTHING = yamlfile.load(Path(__file__).parents[1] / "data/layouts/everything.yaml")
_GONE = object()


def _broken(changes: dict[str, Any]) -> Any:
    """The layout with values at paths such as ``raid[0].level`` replaced; ``[+]`` adds to a list."""
    data = copy.deepcopy(_EVERYTHING)
    for path, value in changes.items():
        _change(data, path, value)
    return data


def _change(data: Any, path: str, value: Any) -> None:
    at: Any = data
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^\[\].]+", path)]
    for part in way:
        at = at[part]
    if last == "+":
        at.append(value)
    elif value is _GONE:
        del at[last]
    else:
        at[last] = value


_NEW = {"id": "n", "role": "data", "size": "1G"}
_D = "disks[2].partitions"

_DISKS = [
    ({f"{_D}[4].id": "a b"}, f"{_D}[4].id: 'a b' must be 1 to 36 letters, digits, '-' or '_'"),
    ({f"{_D}[+]": {"id": "n", "role": "boot", "size": "1G"}},
     f"{_D}[5].fs: the key 'fs' is missing (role boot needs a filesystem)\n"
     f"  {_D}[5].mount: role boot and the mount point /boot go together"),
    ({"disks[1].count.min": -1}, "disks[1].count.min: -1 is less than none"),
    ({"disks[1].count": 0}, "disks[1].count.max: 0 is not within 1 to 9999"),
    ({"disks[1].count": {"min": 3, "max": 2}}, "disks[1].count: min 3 is above max 2"),
    ({"disks[1].count": {"max": "2"}}, "disks[1].count.max: expected a whole number, got '2'"),
    ({"disks[1].count": "many"}, "disks[1].count: expected a mapping of keys, got 'many'"),
    ({"disks[0].similar": "101%"}, "disks[0].similar: 101 is not within 0 to 100 percent"),
    ({"disks[0].similar": "few"}, "disks[0].similar: 'few' is no percentage (write it like 5%)"),
    ({"disks[0].similar": True}, "disks[0].similar: expected a number, got True"),
    ({"disks[0].wipe": "some"}, "disks[0].wipe: 'some' is not one of all, none"),
    ({"disks[+]": {"id": "os", "partitions": [_NEW], "count": 2}}, "disks[3].id: 'os' is there already (disks[0].id)"),
    ({f"{_D}[0].type": "83"}, f"{_D}[0].type: '83' is not a UUID, as types of GPT are"),
    ({f"{_D}[0].number": 129}, f"{_D}[0].number: 129 is not within 1 to 128"),
    ({f"{_D}[0].number": -1}, f"{_D}[0].number: -1 is not within 1 to 128"),
    ({f"{_D}[0].number": 7, f"{_D}[1].number": 7}, f"{_D}[1].number: '7' is there already ({_D}[0].number)"),
    ({f"{_D}[4]": _GONE, "disks[2].label": "msdos"},
     f"{_D}[3].number: the key 'number' is missing (on msdos a preserved partition is known by nothing else)"),
    ({f"{_D}[4]": _GONE, "disks[2].label": "msdos", f"{_D}[3].number": 61},
     f"{_D}[3].number: 61 is not within 1 to 60"),
    ({f"{_D}[4]": _GONE, "disks[2].label": "msdos", f"{_D}[3].number": 5, f"{_D}[0].type": "8e0"},
     f"{_D}[0].type: '8e0' is not a type of msdos (two hexadecimal digits, such as 83)"),
    ({"disks[2].label": "msdos", f"{_D}[3].number": 4}, f"{_D}: 5 are too many, msdos holds 4"),
    ({"disks[0].partitions[+]": {"id": "e2", "role": "esp", "size": "1G", "fs": "vfat"},
      "esp.mirrors": ["os[1].esp", "os[*].e2"]},
     "disks[0].partitions[4].role: esp is there already (disks[0].partitions[1])"),
    ({f"{_D}[0].fs": "xfs"}, f"{_D}[0].fs: a partition of role luks has none"),
    ({f"{_D}[1].mount": "/p"}, f"{_D}[1].mount: a partition of role pv has none"),
    ({f"{_D}[1].mkfs": "-f"}, f"{_D}[1].mkfs: a partition of role pv has none"),
    ({"disks[0].partitions[2].label": "b"}, "disks[0].partitions[2].label: a partition of role raid has none"),
    ({f"{_D}[1].priority": 1}, f"{_D}[1].priority: role pv cannot be left out, so it must not be above 0"),
    ({f"{_D}[+]": _NEW | {"role": "xbootldr", "fs": "vfat", "mount": "/x"}},
     f"{_D}[5].mount: role xbootldr and the mount point /boot go together"),
]  # fmt: skip

_CONTENTS = [
    ({f"{_D}[+]": _NEW | {"fs": "ext4", "options": "noatime"}}, f"{_D}[5].options: needs mount"),
    ({"raid[0].fs": "zfs"}, "raid[0].fs: 'zfs' is not one of ext4, xfs, btrfs, vfat, f2fs"),
    ({"raid[2].fs": _GONE}, "raid[2].mount: needs fs"),
    ({"luks[0].fs": _GONE, "luks[0].mount": _GONE, "luks[0].label": "x"}, "luks[0].label: needs fs"),
    ({"lvm[0].lvs[0].mount": "a"}, "lvm[0].lvs[0].mount: 'a' must begin with /"),
    ({"lvm[0].lvs[0].options": "ro rw"},
     "lvm[0].lvs[0].options: 'ro rw' must be one word of mount options, separated by commas"),
    ({"lvm[0].lvs[0].label": "thirteenbytes"},
     "lvm[0].lvs[0].label: 'thirteenbytes' is longer than the 12 bytes that xfs keeps"),
    ({"raid[1].fs": "vfat"}, "raid[1].fs: vfat keeps no owners and modes, / needs them"),
    ({"lvm[0].lvs[2].mount": "/w"}, "lvm[0].lvs[2].mount: swap has none"),
    ({"lvm[0].lvs[2].swap": False, "lvm[0].lvs[2].fs": "ext4", "lvm[0].lvs[2].mount": "/home"},
     "mounts[0].mount: '/home' is there already (lvm[0].lvs[2].mount)"),
    ({"raid[2].mount": "/c"}, "luks[0].mount: '/c' is there already (raid[2].mount)"),
    ({"luks[0].label": "home"}, f"luks[0].label: 'home' is there already ({_D}[3].label)"),
    ({f"{_D}[3].mkfs": "-L x"}, f"{_D}[3].mkfs[0]: '-L' is set already (the label by 'label', the UUID by the plan)"),
    ({f"{_D}[3].mkfs": ["-O ^x", "/dev/sda"]},
     f"{_D}[3].mkfs[1]: '/dev/sda' is no option of mkfs (the device is added)"),
    ({f"{_D}[4].fs": "xfs"}, f"{_D}[4].btrfs: subvolumes are of btrfs only"),
    ({f"{_D}[4].btrfs.default": "@x"}, f"{_D}[4].btrfs.default: '@x' is none of the subvolumes"),
    ({f"{_D}[4].btrfs.subvolumes[1].path": "@"},
     f"{_D}[4].btrfs.subvolumes[1].path: '@' is there already ({_D}[4].btrfs.subvolumes[0].path)"),
    ({f"{_D}[4].btrfs.subvolumes[1].path": "/@"},
     f"{_D}[4].btrfs.subvolumes[1].path: '/@' must be a plain path from the top, without '/' before it"),
    ({f"{_D}[4].btrfs.subvolumes[1].path": "@/.."},
     f"{_D}[4].btrfs.subvolumes[1].path: '@/..' must be a plain path from the top, without '/' before it"),
    ({f"{_D}[4].btrfs.subvolumes[1].mount": "/z"},
     f"{_D}[4].btrfs.subvolumes[1].mount: '/z' is there already ({_D}[4].btrfs.subvolumes[0].mount)"),
    ({f"{_D}[4].btrfs.subvolumes[1].options": "noatime"}, f"{_D}[4].btrfs.subvolumes[1].options: needs mount"),
    ({f"{_D}[4].btrfs.subvolumes[0].options": "subvolid=5"},
     f"{_D}[4].btrfs.subvolumes[0].options: which subvolume is known already"),
    ({f"{_D}[4].btrfs.subvolumes[0].mount": "/proc"},
     f"{_D}[4].btrfs.subvolumes[0].mount: '/proc' belongs to the running system, not to a disk"),
    ({f"{_D}[4].btrfs.subvolumes[0].compress": 1}, f"{_D}[4].btrfs.subvolumes[0]: unknown key 'compress' "
     "(known: path, mount, options, nodatacow, when)"),
    ({"swap[0].file": "swapfile"}, "swap[0].file: 'swapfile' must begin with /"),
    ({"swap[0].file": "/"}, "swap[0].file: '/' is no file"),
    ({"swap[0].file": "/c"}, "swap[0].file: '/c' is a mount point"),
    ({f"{_D}[3].fs": "vfat", f"{_D}[3].label": "H", f"{_D}[3].mkfs": [], "swap[0].file": "/h/s"},
     "swap[0].file: vfat, which is mounted at /h, cannot hold it"),
    ({"swap[0].size": {"min": "2G", "max": "1G"}}, "swap[0].size: min 2 GiB is above max 1 GiB"),
    ({"swap[0].size": _GONE}, "swap[0].size: the key 'size' is missing"),
    ({"swap[0].zram": True}, "swap[0]: unknown key 'zram' (known: file, size, when)"),
    ({"swap[+]": {"file": "/a/swapfile", "size": "1G"}}, "swap[1].file: '/a/swapfile' is there already (swap[0].file)"),
    ({"mounts[0].what": "/dev/sdb1"},
     "mounts[0].what: '/dev/sdb1' is a disk: it belongs under disks, raid, luks or lvm"),
    ({"mounts[0].what": "a b"}, "mounts[0].what: 'a b' must be one word (a blank is \\040 in fstab)"),
    ({"mounts[0].type": "NFS 4"}, "mounts[0].type: 'NFS 4' is no type of filesystem"),
    ({"mounts[0].mount": ""}, "mounts[0].mount: '' must be on a disk"),
    ({"mounts[0].mount": "/home/"},
     "mounts[0].mount: '/home/' must be a plain path of letters, digits and . _ + @ : - (no '..', no '/' at its end)"),
    ({"mounts[0].options": "a b"}, "mounts[0].options: 'a b' must be one word of mount options, separated by commas"),
]  # fmt: skip

_ARRAYS = [
    ({"raid[0].level": 7}, "raid[0].level: 7 is not one of 0, 1, 4, 5, 6, 10"),
    ({"raid[0].level": "mirror"}, "raid[0].level: 'mirror' is no RAID level"),
    ({"raid[0].level": 6}, "raid[0].level: 6 needs 4 members at least, not 2 members"),
    ({"raid[0].level": "raid4"}, "raid[0].level: 4 needs 3 members at least, not 2 members"),
    ({"raid[0].level": {"3+": 5}}, "raid[0].level: there is none for 2 members"),
    ({"raid[0].level": {"two": 1}},
     """raid[0].level: 'two' is no number of members (write it like "2", "3-5" or "6+")"""),
    ({"raid[2].level": {"2": 6, "3+": 5}}, "raid[2].level: level 6 for 2-2 members, and it needs 4 at least"),
    ({"raid[2].level": {"5-4": 5, "7+": 1}}, "raid[2].level: level 5 for 5-4 members, and it needs 5 at least"),
    ({"raid[2].level": {"2-4": 1, "4+": 5}}, "raid[2].level: 4 members may have level 1 or 5"),
    ({"raid[2].when": "count(data) >= 1"},
     "raid[2].level: there is none for 1 members, as with 1 of data (`when: count(data) >= ...` leaves it out)"),
    ({"raid[2].when": _GONE},
     "raid[2].level: there is none for 0 members, as with 0 of data (`when: count(data) >= ...` leaves it out)"),
    ({"raid[2].level": {"2": 1, "3": 5}},
     "raid[2].level: there is none for 4 members, as with 4 of data (`when: count(data) >= ...` leaves it out)"),
    ({"raid[0].spares": 1, "raid[0].level": {"2+": 1}}, "raid[0].level: there is none for 2 members, 1 of them spare"),
    ({"raid[0].spares": -1}, "raid[0].spares: -1 is less than none"),
    ({"raid[2].level": 0, "raid[2].spares": 1}, "raid[2].spares: level 0 has no use for them"),
    ({"raid[0].metadata": 0.9}, "raid[0].metadata: '0.9' is not one of 1.0, 1.1, 1.2"),
    ({"raid[0].name": "a/b"}, "raid[0].name: 'a/b' must be 1 to 32 letters, digits and _ . -"),
    ({"raid[1].id": "x" * 33}, f"raid[1].id: '{'x' * 33}' must be 1 to 32 letters, digits and _ . -"),
    ({"raid[1].id": "a b"}, "raid[1].id: 'a b' must be letters, digits, '-' or '_'"),
    ({"raid[1].name": "boot"}, "raid[1].name: 'boot' is there already (raid[0].name)"),
    ({"luks[0].id": "md-root"}, "luks[0].id: 'md-root' is there already (raid[1].id)"),
    ({"raid[0].devices": []}, "raid[0].devices: there must be at least one"),
    ({"raid[0].devices": ["os.b"]},
     "raid[0].devices[0]: the disk entry 'os' may have several disks: write os[*].b, or [0] for the first"),
    ({"luks[0].unlock": []}, "luks[0].unlock: there must be at least one of tpm2, keyfile, passphrase"),
    ({"luks[0].unlock": ["tpm2", "tpm2"]}, "luks[0].unlock: says one thing twice"),
    ({"luks[0].unlock": "ask"}, "luks[0].unlock[0]: 'ask' is not one of tpm2, keyfile, passphrase"),
    ({"luks[0].type": "luks1"}, "luks[0].type: 'luks1' is not made, only luks2"),
    ({"luks[0].key": {"from": "tang"}}, "luks[0].key: 'tang' is not one of server"),
    ({"luks[0].key": {"file": "/x"}}, "luks[0].key: {'file': '/x'} is not one of server"),
    ({"luks[0].name": "control"}, "luks[0].name: 'control' must be letters, digits and + _ . - (and not 'control')"),
    ({"luks[0].id": "a b", "luks[0].name": "ab"}, "luks[0].id: 'a b' must be letters, digits, '-' or '_'"),
]  # fmt: skip

_REFERENCES = [
    ({"lvm[0].lvs[+]": {"id": "loop", "size": "1G"}, "luks[+]": {"id": "c9", "devices": "loop"}, "lvm[0].devices": "c9",
      "disks[2].partitions[1].role": "data"},
     "luks[1].devices: goes round in a circle (luks[1] -> lvm[0] -> luks[1])\n"
     "  lvm[0].devices: goes round in a circle (lvm[0] -> luks[1] -> lvm[0])"),
    ({"raid[0].devices": ["os[*]b"]}, "raid[0].devices[0]: 'os[*]b' names no device (Write os.pv, os[0].pv or os[*].pv "
     "for partitions, or the id of an array, encrypted device or volume)"),
    ({"luks[0].devices": "two.l"}, "luks[0].devices[0]: there is no disk entry 'two' (there is os, data, one)"),
    ({"luks[0].devices": "one.x"},
     "luks[0].devices[0]: the disk entry 'one' has no partition 'x' (it has l, p, s, h, z)"),
    ({"luks[0].devices": "one[1].l"}, "luks[0].devices[0]: the disk entry 'one' has at most 1 disk, counted from 0"),
    ({"luks[0].devices": "one"},
     "luks[0].devices[0]: 'one' is a disk entry: name a partition of it, such as one.pv"),
    ({"luks[0].devices": "c1"}, "luks[0].devices[0]: no array, encrypted device or volume is called 'c1'"),
    ({"luks[0].devices": ["one.l", "w"], "lvm[0].lvs[2].fs": _GONE},
     "luks[0].devices: an encrypted device lies on exactly one other, not on 2"),
    ({"raid[0].devices[+]": "os[0].b"},
     "raid[0].devices[1]: os[0].b is part of something already (raid[0].devices[0])"),
    ({"lvm[0].devices": ["one.p", "one.s"]}, "lvm[0].devices[1]: one.s has role swap, and a volume group is made of "
     "partitions of role pv, arrays or encrypted devices"),
    ({"lvm[0].devices": ["one.p", "kept"]},
     "lvm[0].devices[1]: kept is of the kind volume, and a volume group is made of "
     "partitions of role pv, arrays or encrypted devices"),
    ({"lvm[0].devices": ["one.p", "c0"]}, "luks[0].fs: c0 is part of lvm[0], so it carries nothing itself"),
    ({f"{_D}[+]": {"id": "q", "role": "pv", "size": "1G"}},
     f"{_D}[5].role: no volume group is made of one.q, as role pv says"),
    ({f"{_D}[+]": {"id": "q", "role": "luks", "size": "1G"}},
     f"{_D}[5].role: no encrypted device is made of one.q, as role luks says"),
    ({"raid[2]": _GONE}, "disks[1].partitions[0].role: no array is made of data.d, as role raid says"),
    ({"lvm[0].devices": []}, "lvm[0].devices: there must be at least one"),
]  # fmt: skip

_VOLUMES = [
    ({"lvm[0].vg": "-vg"}, "lvm[0].vg: '-vg' must be letters, digits and + _ . - (no '-' before it)"),
    ({"lvm[0].vg": "mapper"}, "lvm[0].vg: 'mapper' is in /dev already"),
    ({"lvm[0].vg": "sda"}, "lvm[0].vg: 'sda' is in /dev already"),
    ({"lvm[0].reserve": "100%"}, "lvm[0].reserve: 100 is not within 0 to less than 100 percent"),
    ({"lvm[0].reserve": "1/4"}, "lvm[0].reserve: '1/4' is no percentage (write it like 5%)"),
    ({"lvm[0].extent": "3M"}, "lvm[0].extent: 3 MiB is not a power of two from 4 KiB to 16 GiB"),
    ({"lvm[0].lvs[0].id": "vg0/a"}, "lvm[0].lvs[0].id: 'vg0/a' must be letters, digits, '-' or '_', a letter or digit "
     "first (it is the name alone, without that of the group)"),
    ({"lvm[0].lvs[0].id": "a_tmeta"}, "lvm[0].lvs[0].id: 'a_tmeta' is a name that lvm keeps for itself"),
    ({"lvm[0].lvs[0].id": "a" + "-" * 62}, "lvm[0].lvs[0].id: /dev/mapper/vg0-a" + "-" * 124
     + " is longer than the 127 bytes that the kernel keeps"),
    ({"luks[0].name": "vg0-a"}, "lvm[0].lvs[0].id: '/dev/mapper/vg0-a' is there already (luks[0].name)"),
    ({"lvm[1].vg": "vg0"}, "lvm[1].vg: 'vg0' is there already (lvm[0].vg)"),
    ({"lvm[1].lvs[0].id": "a"}, "lvm[1].lvs[0].id: 'a' is there already (lvm[0].lvs[0].id)"),
    ({"lvm[0].lvs[1].pool": "p"}, "lvm[0].lvs[1].pool: vg0 has no thin pool 'p' (it has pool)"),
    ({"lvm[0].lvs[1].size": {"max": "1G"}},
     "lvm[0].lvs[1].size: a volume in a pool needs a size of its own (it is virtual)"),
    ({"lvm[0].lvs[0].size": {"min": "2G", "max": "1G"}}, "lvm[0].lvs[0].size: min 2 GiB is above max 1 GiB"),
    ({"lvm[0].lvs[0].mount": "/usr", "lvm[0].lvs[0].priority": 1},
     "lvm[0].lvs[0].priority: what is mounted at /usr cannot be left out, so it must not be above 0"),
    ({"lvm[0].thin[0].metadata": "1M"}, "lvm[0].thin[0].metadata: 1 MiB is not within 2 MiB to 15.8 GiB"),
    ({"lvm[0].thin[0].size": _GONE, "lvm[0].lvs[1]": _GONE}, "lvm[0].thin[0].size: the key 'size' is missing"),
    ({f"{_D}[3].preserve": True, "disks[2].wipe": "all"},
     f"{_D}[3].preserve: its disk has wipe: all; say wipe: none there"),
    ({"lvm[0].lvs[0].preserve": "required"},
     "lvm[0].lvs[0].preserve: its volume group is made anew; say preserve there too"),
    ({"raid[1].preserve": True}, "raid[1].preserve: os.r, which it lies on, is made anew; say preserve there too"),
    ({"luks[0].preserve": "if-present"},
     "luks[0].preserve: one.l, which it lies on, is made anew; say preserve there too"),
    ({"lvm[0].preserve": "required"}, "lvm[0].preserve: one.p, which it lies on, is made anew; say preserve there too"),
    ({"lvm[1].preserve": "if-present"}, "lvm[1].devices: there must be at least one"),
    ({"lvm[1].preserve": "yes"}, "lvm[1].preserve: 'yes' is not one of never, if-present, required"),
]  # fmt: skip

_WHEN = [
    ({f"{_D}[2].when": "ram"}, f"{_D}[2].when: column 4: expected == != < <= > >=, nothing follows"),
    ({"raid[0].when": "(ram < 8G"}, "raid[0].when: column 10: expected 'and', 'or' or ')', nothing follows"),
    ({"luks[0].when": "count(x) > 1"}, "luks[0].when: there is no disk entry 'x'"),
    ({"lvm[0].when": "arch == vax"}, "lvm[0].when: column 9: expected one of x86_64, aarch64, i686, armv7l, riscv64, "
     "ppc64le, s390x, loongarch64, 'vax' is there"),
    ({"lvm[0].lvs[0].when": "size(y) > 1T"}, "lvm[0].lvs[0].when: there is no disk entry 'y'"),
    ({f"{_D}[4].btrfs.subvolumes[0].when": "1"},
     f"{_D}[4].btrfs.subvolumes[0].when: column 1: expected firmware, arch, "
     "ram, count(...) or size(...), '1' is there"),
    ({"swap[0].when": "ram < 8X"}, "swap[0].when: column 7: expected a size such as 8G, '8X' is there"),
    ({"mounts[0].when": "or"}, "mounts[0].when: column 1: expected firmware, arch, ram, count(...) or size(...), "
     "'or' is there"),
]  # fmt: skip

_BOOT = [
    ({"boot.firmware": "bios", "disks[0].partitions[0]": _GONE},
     "boot.firmware: bios needs a partition of role bios_grub on GPT"),
    ({"raid[1].mount": "/root"}, "disks: nothing is mounted at /"),
    ({"raid[1].mount": "/efi"}, "disks: nothing is mounted at /\n"
     "  raid[1].mount: firmware reads nothing but partitions of role esp (esp.mirrors keeps copies alike)"),
    ({"disks[1].partitions[+]": _NEW | {"fs": "xfs", "mount": "/n"}},
     "disks[1].partitions[1].mount: the disk entry 'data' may have several disks, and all would be mounted there"),
    ({"disks[2].count": {"min": 0, "max": 1}, "luks[0].when": "count(one) > 0", "lvm[0].when": "count(one) == 1",
      f"{_D}[3].mount": "/var"},
     f"{_D}[3].mount: the disk entry 'one' may have no disk (count.min is 0), and /var must be"),
    ({"disks[2].count": {"min": 0, "max": 1}, "lvm[0].when": "count(one) == 1"}, "luks[0].devices: an encrypted device "
     "lies on exactly one other, not on 0, as with 0 of one (`when: count(one) >= ...` leaves it out)"),
    ({"disks[2].count": {"min": 0, "max": 1},
     "luks[0].when": "size(one) >= 0"}, "lvm[0].devices: there would be none, as "
     "with 0 of one (`when: count(one) >= ...` leaves it out)"),
    ({"esp": _GONE},
     "disks[0].partitions[1].mount: the key 'mount' is missing (usually /boot/efi; 'esp' can say it too)"),
    ({"esp.primary": "os[0].x"}, "esp.primary: the disk entry 'os' has no partition 'x' (it has bios, esp, b, r)"),
    ({"esp.primary": "os[0].b"}, "esp.primary: os[0].b is not of role esp"),
    ({"esp.primary": "os[*].esp"}, "esp.primary: one is mounted, and os[*].esp may be several"),
    ({"esp.primary": "os[2].esp"}, "esp.primary: the disk entry 'os' has at most 2 disks, counted from 0"),
    ({"esp.primary": "esp!"},
     "esp.primary: 'esp!' names no device (Write os.pv, os[0].pv or os[*].pv for partitions, or "
     "the id of an array, encrypted device or volume)"),
    ({"esp.mirrors": ["os[1].esp", "os[1].esp"]}, "esp.mirrors[1]: os[1].esp is named already"),
    ({"esp.mirrors": ["os[0].esp"]}, "esp.mirrors[0]: os[0].esp is named already"),
    ({"esp.mount": "/srv"}, "esp.mount: '/srv' is not one of /boot/efi, /efi, /boot"),
    ({"disks[0].count": {"min": 1, "max": 2}, "esp.primary": "os[1].esp", "esp.mirrors": []},
     "esp.primary: os[1].esp may be missing (count.min of 'os' is 1)"),
    ({"disks[0].partitions[1].mount": "/efi"}, "disks[0].partitions[1].mount: esp.mount says where it is mounted"),
    ({f"{_D}[+]": {"id": "e", "role": "esp", "size": "1G", "fs": "vfat"}},
     f"{_D}[5].role: one.e is neither esp.primary nor one of esp.mirrors"),
    ({"esp.mirror": "x"}, "esp: unknown key 'mirror' (did you mean 'mirrors'?)"),
    ({"esp.mount": "/boot/efi", "mounts[0].mount": "/boot/efi"},
     "mounts[0].mount: '/boot/efi' is there already (esp.mount)"),
    ({"raid[0].mount": "/old", "luks[0].mount": "/boot"},
     "luks[0].mount: /boot is encrypted (luks[0]), and GRUB cannot "
     "open LUKS2 with Argon2; give /boot a partition of its own"),
    ({"raid[0].mount": "/old", "raid[1].mount": "/m", "luks[0].mount": "/", "luks[0].unlock": "tpm2"},
     "luks[0].mount: /boot, in the filesystem mounted at /, is encrypted (luks[0]), and GRUB cannot open LUKS2 with "
     "Argon2; give /boot a partition of its own"),
    ({"raid[0].mount": "/old", "lvm[0].lvs[1].mount": "/boot"}, "lvm[0].lvs[1].mount: /boot is on a thin volume "
     "(lvm[0].lvs[1]), which GRUB cannot read; give /boot a partition of its own"),
    ({"raid[1].mount": "/m", "luks[0].mount": "/"},
     "luks[0].unlock: it holds /, so a keyfile would lie in what it opens, or in the clear on /boot"),
    ({"boot.order": "disk"}, "boot.order: 'disk' is not one of network-first, disk-first"),
    ({"boot.console": "tty 0"}, "boot.console: 'tty 0' is not a console of the kernel (write it like ttyS0,115200)"),
    ({"wipe_unknown": "yes"}, "wipe_unknown: expected true or false, got 'yes'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"), [*_DISKS, *_CONTENTS, *_ARRAYS, *_REFERENCES, *_VOLUMES, *_WHEN, *_BOOT],
)  # fmt: skip
def test_what_a_broken_rule_says(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(_broken(changes), "x")
    assert caught.value.what == fault


def test_the_whole_is_without_fault() -> None:
    assert read(_EVERYTHING, "everything").esp


def _paths(data: Any, at: str = "") -> list[str]:
    """Of every value in the layout."""
    if isinstance(data, dict):
        inner = [path for key, each in data.items() for path in _paths(each, f"{at}.{key}" if at else key)]
    elif isinstance(data, list):
        inner = [path for index, each in enumerate(data) for path in _paths(each, f"{at}[{index}]")]
    else:
        inner = []
    return [*([at] if at else []), *inner]


_ELSEWHERE = st.sampled_from(_paths(_EVERYTHING)).map(lambda path: copy.deepcopy(_value(path)))
_ODD = st.sampled_from(
    (_GONE, None, True, 0, -1, 2**70, 1.5, "", "os", "c0", "md-root", "one.l", "os[*].r", "os[9].b", "/", "/boot", "..",
     "a" * 200, "10%", "ext4", "swap", "required", "count(os) > 1", "²", [], {}, [[]], {"": 1}, {"1+": 6})
)  # fmt: skip


def _value(path: str) -> Any:
    at: Any = _EVERYTHING
    for part in re.findall(r"[^\[\].]+", path):
        at = at[int(part) if isinstance(at, list) else part]
    return at


@given(st.lists(st.tuples(st.sampled_from(_paths(_EVERYTHING)), _ODD | _ELSEWHERE), min_size=1, max_size=3))
@settings(max_examples=500, deadline=None)
def test_a_mutated_layout_is_a_layout_or_bad_input(changes: list[tuple[str, Any]]) -> None:
    data = copy.deepcopy(_EVERYTHING)
    for path, value in changes:
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took the place away
            _change(data, path, copy.deepcopy(value))
    try:
        layout = read(data, "x")
    except BadInput as error:
        assert error.what and error.where == "layout x"
        return
    assert layout.disks and all(disk.partitions and disk.count.max for disk in layout.disks)
