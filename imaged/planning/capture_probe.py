"""The probe of a golden client: a POSIX shell script, and what it printed as facts. Pure.

It runs on whatever a golden client is (busybox too), in one ssh call, and changes nothing there. Each section begins
with ``=NAME``; its lines follow, each after one blank, so that no content can be taken for a heading. ``=end`` comes
last: a probe that was cut off is not half believed.
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from imaged.model.capture import Block, GoldenFacts, Mounted, Space, Swap
from imaged.model.errors import BadInput
from imaged.planning.octal import unescaped

# Only mounts of these kinds are asked for their fill: df(1) on a dead NFS server never returns.
LOCAL = (
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "jfs",
    "reiserfs",
    "f2fs",
    "nilfs2",
    "bcachefs",
    "zfs",
    "vfat",
    "msdos",
)
_MAGIC = "imaged-probe 1"

PROBE = rf"""# What imaged asks of a golden client. It only reads.
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH
section() {{ printf '\n=%s\n' "$1"; shift; "$@" 2>/dev/null | sed 's/^/ /'; }}
first() {{ for f in "$@"; do [ -r "$f" ] && {{ cat "$f"; return; }}; done; }}
there() {{ for f in "$@"; do [ -e "$f" ] && printf '%s\n' "$f"; done; }}
said() {{ command -v "$1" >/dev/null 2>&1 && "$@" 2>&1 | head -n 1; }}
mounts() {{
  while read -r id parent number root at rest; do
    type=${{rest##* - }}; type=${{type%% *}}
    case " {" ".join(LOCAL)} " in *" $type "*) printf '%s %s %s %s\n' "$id" "$type" "${{rest##* }}" "$at";; esac
  done < /proc/self/mountinfo
}}
fill() {{
  mounts | while read -r id type options at; do
    at=$(printf '%b.' "$at"); at=${{at%.}}
    set -f
    set -- $(df -Pk "$at" 2>/dev/null | tail -n 1); k=$2\ $3
    set -- $(df -Pi "$at" 2>/dev/null | tail -n 1); i=$3
    set +f
    printf '%s %s %s\n' "$id" "$k" "${{i:-0}}"
  done
}}
made() {{
  while read -r id parent number root at rest; do
    tail=${{rest##* - }}; type=${{tail%% *}}; dev=${{tail#* }}; dev=${{dev%% *}}
    at=$(printf '%b.' "$at"); at=${{at%.}}
    case $type in
      ext[234]) f=$(dumpe2fs -h "$dev" 2>/dev/null | sed -n 's/^Filesystem features: *//p');;
      xfs) f=$(xfs_info "$at" 2>/dev/null | tr -s ' \n' '  ');;
      btrfs) f=$(btrfs inspect-internal dump-super "$dev" 2>/dev/null | grep '^incompat_flags' | tr -s '\t' ' ');;
      *) f=;;
    esac
    [ "$f" ] && printf '%s %s\n' "$id" "$f"
  done < /proc/self/mountinfo
}}
volumes() {{
  command -v btrfs >/dev/null || return
  mounts | while read -r id type options at; do
    [ "$type" = btrfs ] || continue
    at=$(printf '%b.' "$at"); at=${{at%.}}
    btrfs subvolume list -a "$at" | sed "s/^/$id /"
  done
}}
nodatacow() {{
  command -v lsattr >/dev/null || return
  mounts | while read -r id type options at; do
    [ "$type" = btrfs ] || continue
    at=$(printf '%b.' "$at"); at=${{at%.}}
    flags=$(lsattr -d "$at"); case ${{flags%% *}} in *C*) echo "$id";; esac
  done
}}
blocks() {{
  for b in /sys/class/block/*; do
    [ -r "$b/size" ] || continue
    name=${{b##*/}}
    kind=disk; [ -e "$b/partition" ] && kind=part; [ -d "$b/dm" ] && kind=dm; [ -d "$b/md" ] && kind=md
    case $name in loop*|ram*|zram*|sr*|fd*) continue;; esac
    up=; for s in "$b"/slaves/*; do [ -e "$s" ] && up=$up,${{s##*/}}; done
    if [ "$kind" = part ]; then up=$(readlink -f "$b"); up=${{up%/*}}; up=,${{up##*/}}; fi
    printf '%s %s %s %s %s %s %s %s %s\n' "$name" "$(cat "$b/dev")" "$kind" "$(cat "$b/size")" "${{up:-,}}" \
      "$(cat "$b/queue/rotational" 2>/dev/null || echo -)" "$(cat "$b/removable" 2>/dev/null || echo -)" \
      "$(cat "$b/queue/logical_block_size" 2>/dev/null || echo -)" "$(cat "$b/device/model" 2>/dev/null || echo -)"
  done
}}
firmware() {{ if [ -d /sys/firmware/efi ]; then echo uefi; else echo bios; fi; }}
echo '={_MAGIC}'
section arch uname -m
section release uname -r
section hostname uname -n
section uid id -u
section clock date +%s
section rsync said rsync --version
section python said python3 --version
section firmware firmware
section mountinfo cat /proc/self/mountinfo
section os-release first /etc/os-release /usr/lib/os-release
section fstab cat /etc/fstab
section swaps cat /proc/swaps
section cmdline cat /proc/cmdline
section fill fill
section features made
section subvolumes volumes
section nodatacow nodatacow
section lsblk lsblk --json -b -O
section blocks blocks
section blkid blkid
section kernels ls /lib/modules
section boot there /boot/grub/grub.cfg /boot/grub2/grub.cfg /boot/grub/menu.lst /boot/grub/grub.conf \
  /boot/loader/loader.conf /boot/efi/loader/loader.conf /efi/loader/loader.conf /boot/loader/entries \
  /boot/extlinux/extlinux.conf /boot/syslinux/syslinux.cfg /boot/refind_linux.conf /etc/lilo.conf /etc/zipl.conf \
  /etc/default/grub /boot/efi/EFI/* /efi/EFI/* /boot/vmlinu* /boot/initr* /boot/bzImage* /boot/kernel*
printf '\n=end\n'
"""


def parse(text: str) -> GoldenFacts:
    """The facts in what the probe printed; non-UTF-8 bytes as surrogates.

    Raises BadInput for output that is none of the probe's or was cut off.
    """
    sections = _sections(text)
    mounts = tuple(_mounted(line) for line in sections.get("mountinfo", ()) if line.strip())
    at = {mount.id: mount.at for mount in mounts}
    return GoldenFacts(
        hostname=_word(sections, "hostname"),
        arch=_word(sections, "arch"),
        release=_word(sections, "release"),
        uid=_number(_word(sections, "uid"), -1),
        rsync=_word(sections, "rsync"),
        firmware=_word(sections, "firmware"),
        clock=_number(_word(sections, "clock"), 0),
        os_release=_assignments(sections.get("os-release", ())),
        mounts=mounts,
        blocks=_blocks(sections),
        space=dict(_space(sections.get("fill", ()), at)),
        swaps=_swaps(sections),
        features=dict(_features(sections.get("features", ()), at)),
        subvolumes=tuple(_subvolumes(sections.get("subvolumes", ()), mounts)),
        nodatacow=tuple(at[int(each)] for each in sections.get("nodatacow", ()) if _number(each, -1) in at),
        kernels=tuple(sections.get("kernels", ())),
        boot_files=tuple(sections.get("boot", ())),
        command_line=_word(sections, "cmdline"),
        fstab="".join(f"{line}\n" for line in sections.get("fstab", ())),
        python=_word(sections, "python").removeprefix("Python "),
    )


def _sections(text: str) -> dict[str, list[str]]:
    start = text.find(f"={_MAGIC}\n")  # a login shell may greet people first
    if start < 0 or not text.rstrip().endswith("\n=end"):
        raise BadInput("the probe's answer is not whole", hint=_tail(text))
    found: dict[str, list[str]] = {}
    here: list[str] = []
    for line in text[start:].split("\n"):
        if line.startswith("="):
            here = found.setdefault(line[1:], [])
        elif line.startswith(" "):
            here.append(line[1:])
    return found


def _tail(text: str) -> str:
    shown = text.strip().splitlines()[-3:]
    return "It said: " + " / ".join(shown) if shown else "It said nothing."


def _word(sections: dict[str, list[str]], name: str) -> str:
    return next(iter(sections.get(name, ())), "").strip()


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else otherwise


def _mounted(line: str) -> Mounted:
    """``36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw``: any number of fields before the dash."""
    words = line.split(" ")
    try:
        dash = words.index("-", 6)
        return Mounted(
            id=int(words[0]), device=words[2], root=unescaped(words[3]), at=unescaped(words[4]), options=words[5],
            fstype=words[dash + 1], source=unescaped(words[dash + 2]), volume=unescaped(_volume(words[dash + 3 :])),
        )  # fmt: skip
    except (ValueError, IndexError):
        raise BadInput(f"{line!r} is no line of mountinfo", hint="Report the golden client's kernel version.") from None


def _volume(options: list[str]) -> str:
    """btrfs names the subvolume last among its options (btrfs(5)); commas may be part of the name."""
    return "".join(options[:1]).partition("subvol=")[2]


def _assignments(lines: list[str] | tuple[()]) -> dict[str, str]:
    """os-release(5): shell assignments. A line that is none is skipped."""
    values = {}
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", key):
            try:
                values[key] = "".join(shlex.split(value))
            except ValueError:
                continue
    return values


def _space(lines: list[str] | tuple[()], at: dict[int, str]) -> Iterator[tuple[str, Space]]:
    """``ID SIZE USED INODES``, sizes in KiB."""
    for line in lines:
        words = [_number(word, -1) for word in line.split()]
        if len(words) == 4 and words[0] in at and min(words[:3]) >= 0:
            yield at[words[0]], Space(words[1] * 1024, words[2] * 1024, max(words[3], 0))


def _features(lines: list[str] | tuple[()], at: dict[int, str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        number, _, features = line.partition(" ")
        if _number(number, -1) in at:
            yield at[int(number)], " ".join(features.split())


def _swaps(sections: dict[str, list[str]]) -> tuple[Swap, ...]:
    """Those in use (/proc/swaps) and those that fstab names, which may be off just now."""
    found = {}
    for line in sections.get("swaps", ())[1:]:
        words = line.split()
        if len(words) >= 3 and words[1] in ("file", "partition"):
            path = unescaped(words[0])
            found[path] = Swap(path, _number(words[2], 0) * 1024, words[1] == "file")
    for line in sections.get("fstab", ()):
        words = line.split()
        path = unescaped(words[0]) if words else ""
        if len(words) >= 3 and words[2] == "swap" and path.startswith("/") and not path.startswith("/dev/"):
            found.setdefault(path, Swap(path, 0, True))
    return tuple(found.values())


def _subvolumes(lines: list[str] | tuple[()], mounts: tuple[Mounted, ...]) -> Iterator[str]:
    """``MOUNT ID 257 gen 9 top level 5 path @/var/lib/machines``: where each shows, if it does and is no mount.

    With ``-a`` all paths begin at the top of the filesystem; without it some do, and nothing tells them apart.
    """
    by_id = {mount.id: mount for mount in mounts}
    mounted = {mount.at for mount in mounts}
    seen = set()
    for line in lines:
        number, _, rest = line.partition(" ")
        mount = by_id.get(_number(number, -1))
        _, found, path = rest.partition(" path ")
        if mount is None or not found:
            continue
        root = mount.root.rstrip("/") + "/"
        path = "/" + path.removeprefix("<FS_TREE>/")
        if path.startswith(root) and path != root:
            shown = mount.at.rstrip("/") + "/" + path[len(root) :]
            if shown not in mounted and shown not in seen:
                seen.add(shown)
                yield shown


def _blocks(sections: dict[str, list[str]]) -> tuple[Block, ...]:
    """lsblk's tree where there is one; else what /sys and blkid tell, which every client has."""
    try:
        tree = json.loads("\n".join(sections.get("lsblk", ())))
        found: dict[str, Block] = {}
        for device in tree["blockdevices"]:
            _flatten(device, "", found)
    except (ValueError, KeyError, TypeError):
        found = {}
    return tuple(found.values()) if found else tuple(_from_sys(sections))


def _flatten(device: dict[str, Any], parent: str, found: dict[str, Block]) -> None:
    name = str(device.get("kname") or device["name"])
    old = found.get(name)
    parents = (*(old.parents if old else ()), *((parent,) if parent else ()))
    found[name] = Block(
        name=name,
        number=str(device.get("maj:min") or "").strip(),
        kind=str(device.get("type") or ""),
        size=int(device.get("size") or 0),
        parents=tuple(dict.fromkeys(parents)),
        fstype=str(device.get("fstype") or ""),
        label=str(device.get("label") or ""),
        table=str(device.get("pttype") or ""),
        model=str(device.get("model") or "").strip(),
        rotational=_true(device.get("rota")),
        removable=_true(device.get("rm")),
        sector=int(device.get("log-sec") or 512),
        alias=str(device["name"]) if device.get("name") not in (None, name) else "",
    )
    for child in device.get("children") or ():
        _flatten(child, name, found)


def _true(value: Any) -> bool:
    """Older lsblk writes ``"0"`` and ``"1"``."""
    return value in (True, 1, "1")


def _from_sys(sections: dict[str, list[str]]) -> Iterator[Block]:
    """``NAME MAJOR:MINOR KIND SECTORS ,PARENT,PARENT ROTATIONAL REMOVABLE SECTOR MODEL``."""
    kinds = dict(_blkid(sections.get("blkid", ())))
    for line in sections.get("blocks", ()):
        words = line.split(None, 8)
        if len(words) < 8:
            continue
        name, number, kind, sectors, parents, rotational, removable, sector = words[:8]
        model = words[8].strip().removeprefix("-") if len(words) > 8 else ""
        yield Block(
            name=name, number=number, kind=kind, size=_number(sectors, 0) * 512,
            parents=tuple(filter(None, parents.split(","))), fstype=kinds.get(name, {}).get("TYPE", ""),
            label=kinds.get(name, {}).get("LABEL", ""), model=model,
            rotational=rotational == "1", removable=removable == "1", sector=_number(sector, 512),
        )  # fmt: skip


def _blkid(lines: list[str] | tuple[()]) -> Iterator[tuple[str, dict[str, str]]]:
    """``/dev/sda1: UUID="..." TYPE="ext4"``."""
    for line in lines:
        device, colon, rest = line.partition(": ")
        if colon and device.startswith("/dev/"):
            yield device.removeprefix("/dev/"), dict(re.findall(r'([A-Z_]+)="([^"]*)"', rest))
