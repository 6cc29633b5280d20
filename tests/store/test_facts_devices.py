"""Which files of an image name disks: what counts as a name, and what is not looked at."""

from pathlib import Path

import pytest

from imaged.store.facts import read
from imaged.store.facts_devices import device_names
from imaged.store.tree import Tree

UUID = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"


def lay(root: Path, files: dict[str, str | bytes]) -> Tree:
    for name, content in files.items():
        at = root / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Tree(root)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (f"UUID={UUID} / ext4 defaults", (f"UUID={UUID}",)),
        (f'root="UUID={UUID}"', (f"UUID={UUID}",)),
        (f'PARTUUID="{UUID}"', (f"PARTUUID={UUID}",)),
        ("PARTUUID=1a2b3c4d-01 /boot", ("PARTUUID=1a2b3c4d-01",)),
        ("UUID=7B77-95E7 /boot/efi", ("UUID=7B77-95E7",)),
        ("/dev/disk/by-id/ata-WDC_WD10-x_1-part2, b", ("/dev/disk/by-id/ata-WDC_WD10-x_1-part2",)),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1;", ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1",)),
        ("a /dev/sda1 /dev/sda1 /dev/sdb", ("/dev/sda1", "/dev/sdb")),
        ("/dev/nvme0n1p3 /dev/vda /dev/mmcblk0p1", ("/dev/nvme0n1p3", "/dev/vda", "/dev/mmcblk0p1")),
        ("/dev/md/data /dev/md127 /dev/mapper/vg-lv", ("/dev/md/data", "/dev/md127", "/dev/mapper/vg-lv")),
        ("/dev/mapper/control /dev/null /dev/sdnotadisk. /dev/std", ()),
        ("UUID=${GRUB_DEVICE_UUID} uuid=here", ()),
        (f"# UUID={UUID}", ()),
        ("  ; /dev/sda", ()),
    ],
)
def test_names(line: str, names: tuple[str, ...], tmp_path: Path) -> None:
    found = device_names(lay(tmp_path, {"etc/x.conf": f"first\n{line}\n"}))
    assert found == ({"/etc/x.conf": names} if names else {})


def test_what_fstab_names_is_known_without_its_mark(tmp_path: Path) -> None:
    tree = lay(
        tmp_path,
        {"etc/fstab": f"UUID={UUID} / ext4 defaults 0 1\n", "boot/grub/x.cfg": f"search --fs-uuid --set=root {UUID}\n",
         "etc/other": "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee\n"},
    )  # fmt: skip
    assert device_names(tree) == {"/etc/fstab": (f"UUID={UUID}",), "/boot/grub/x.cfg": (UUID,)}


def test_what_nobody_reads_is_not_looked_at(tmp_path: Path) -> None:
    names = ("etc/a.conf~", "etc/fstab.bak", "etc/b.rpmsave", "etc/c.dpkg-old", "usr/share/doc/x",
             "etc/sysconfig/network-scripts/ifcfg-x")  # fmt: skip
    tree = lay(tmp_path, {**dict.fromkeys(names, f"/dev/sda UUID={UUID}\n"), "boot/vmlinuz": b"/dev/sda\0",
                          "boot/map": "/dev/sda\n" * 40000})  # fmt: skip
    (tmp_path / "etc/link").symlink_to("/etc/passwd")
    (tmp_path / "etc/gone").symlink_to("nowhere")
    assert device_names(tree) == {}


def test_no_more_than_a_person_reads(tmp_path: Path) -> None:
    many = "".join(f"/dev/sd{letter}\n" for letter in "abcdefghijklmnop")
    found = device_names(lay(tmp_path, {f"etc/{number:03}": many for number in range(250)}))
    assert len(found) == 200
    assert {len(names) for names in found.values()} == {8}


def test_it_is_one_of_the_facts(tmp_path: Path) -> None:
    assert read(lay(tmp_path, {"etc/smartd.conf": "/dev/sda -a\n"})).device_names == {"/etc/smartd.conf": ("/dev/sda",)}
