"""fstab lines against the volumes of a disk: what is mounted where and how, and what is said of the rest."""

import pytest
from attrs import evolve

from imaged.model.errors import BadInput
from installer.appliance_mounts import Layout, Line, Place, find, lay_out, options, read_fstab
from installer.appliance_volumes import ESP as ESP_TYPE
from installer.appliance_volumes import XBOOTLDR, Root, Volume

ESP = Volume("1", "/dev/vda1", 1, "vfat", "1234-ABCD", "", "1", "aa-01", "EFI part", ESP_TYPE)
BOOT = Volume("2", "/dev/vda2", 1, "ext4", "b007", "boot", "2", "aa-02")
ROOT = Volume("3", "/dev/vda3", 1, "ext4", "1111", "root", "3", "aa-03")
VAR = Volume("vg-x/var", "/dev/mapper/vg--x-var", 1, "xfs", "2222")
BTRFS = Volume("4", "/dev/vda4", 1, "btrfs", "3333", "data", "4", "aa-04")
LUKS = Volume("5", "/dev/vda5", 1, "crypto_LUKS", "5555", "", "5", "aa-05")
ALL = (ESP, BOOT, ROOT, VAR, BTRFS)


def lay(fstab: str, volumes: tuple[Volume, ...] = ALL, root: Volume = ROOT, empty: tuple[str, ...] = ()) -> Layout:
    return lay_out(read_fstab(fstab), Root(root), volumes, empty)


def test_fstab_is_read_as_the_kernel_spells_it() -> None:
    text = "# a comment\n\n  UUID=1 / ext4 rw,noatime 0 1\nLABEL=a\\040b /my\\040data\n/dev/sdb1 /x xfs\nlonely\n"
    assert read_fstab(text) == (
        Line("UUID=1", "/", "ext4", ("rw", "noatime")),
        Line("LABEL=a b", "/my data", "auto", ("defaults",)),
        Line("/dev/sdb1", "/x", "xfs", ("defaults",)),
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("UUID=1234-abcd", ESP),
        ('UUID="b007"', BOOT),
        ("LABEL=boot", BOOT),
        ("LABEL=BOOT", None),
        ("PARTUUID=AA-03", ROOT),
        ("PARTLABEL=EFI part", ESP),
        ("/dev/disk/by-partlabel/EFI\\x20part", ESP),
        ("/dev/disk/by-uuid/2222", VAR),
        ("/dev/mapper/vg--x-var", VAR),
        ("/dev/vg-x/var", VAR),
        ("/dev/sda2", BOOT),
        ("/dev/nvme0n1p3", ROOT),
        ("/dev/disk/by-id/ata-X_1-part2", BOOT),
        ("/dev/sda1", None),  # vfat there, ext4 said
        ("UUID=", None),
        ("LABEL=", None),
        ("UUID=9999", None),
    ],
)
def test_how_a_line_names_its_volume(spec: str, expected: Volume | None) -> None:
    assert find(Line(spec, "/x", "ext4", ()), ALL) == expected


def test_parents_come_first_and_strangers_are_left_alone() -> None:
    got = lay(
        "UUID=1111 / ext4 defaults 0 1\nUUID=1234-ABCD /boot/efi vfat umask=0077,shortname=winnt 0 1\n"
        "UUID=b007 /boot ext4 defaults\n/dev/mapper/vg--x-var /var xfs defaults\nUUID=3333 /home btrfs subvol=@h,ssd\n"
        "tmpfs /tmp tmpfs defaults\nnas:/x /net nfs defaults\n/dev/sr0 /media/cdrom auto noauto\nUUID=7 none swap sw\n"
        "/var/x /srv/x none bind\nproc /proc proc defaults\nUUID=7 /mnt/usb ext4 defaults\n"
    )
    assert got == Layout(
        (
            Place(BOOT, "/boot", ("ro",)),
            Place(ESP, "/boot/efi", ("ro", "umask=0077")),
            Place(BTRFS, "/home", ("ro", "subvol=@h")),
            Place(VAR, "/var", ("ro", "nouuid")),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("UUID=9 /data ext4 defaults", "/data is on UUID=9, which is not on this disk: left out"),
        ("UUID=9 /var ext4 nofail", "/var is on UUID=9, which is not on this disk: left out"),
        ("LABEL=boot /backup ext4 noauto", "/backup is mounted by hand only: left out"),
        ("LABEL=root /copy ext4 defaults", "/copy is said to be on the root's own LABEL=root: left out"),
    ],
)
def test_what_is_left_out_is_said(line: str, note: str) -> None:
    assert lay(line) == Layout((), (note,))


@pytest.mark.parametrize("at", ["/usr", "/var", "/var/lib", "/boot", "/opt"])
def test_a_tree_without_a_needed_part_is_refused(at: str) -> None:
    with pytest.raises(BadInput) as caught:
        lay(f"UUID=9 {at} ext4 defaults")
    assert caught.value.what == f"{at} is on UUID=9, which is not on this disk"


def test_what_is_encrypted_is_missing_and_refused_unless_it_may_fail() -> None:
    with pytest.raises(BadInput) as caught:
        lay("/dev/mapper/home /home ext4 defaults", (ROOT, LUKS))
    assert "/home (/dev/mapper/home) is not there, and partition 5: crypto_LUKS" in caught.value.what
    assert lay("/dev/mapper/home /home ext4 nofail", (ROOT, LUKS)).places == ()
    assert lay("UUID=1111 / ext4 defaults", (ROOT, LUKS)) == Layout((), ())


def test_subvolumes_of_the_roots_own_btrfs_are_mounted() -> None:
    assert lay("UUID=3333 /home btrfs subvol=@home", root=BTRFS).places == (
        Place(BTRFS, "/home", ("ro", "subvol=@home")),
    )


@pytest.mark.parametrize(
    ("fstab", "volumes", "empty", "expected"),
    [
        ("", ALL, ("/efi", "/boot"), ((ESP, "/efi"),)),
        ("", ALL, ("/boot",), ((ESP, "/boot"),)),
        ("", ALL, (), ()),
        ("UUID=1234-ABCD /boot/efi vfat", ALL, ("/efi",), ((ESP, "/boot/efi"),)),
        (
            "",
            (ESP, evolve(ESP, name="6", number="6", parttype=XBOOTLDR)),
            ("/efi", "/boot"),
            ((evolve(ESP, name="6", number="6", parttype=XBOOTLDR), "/boot"), (ESP, "/efi")),
        ),
    ],
)
def test_boot_partitions_that_fstab_does_not_name(
    fstab: str, volumes: tuple[Volume, ...], empty: tuple[str, ...], expected: tuple[tuple[Volume, str], ...]
) -> None:
    assert tuple((place.volume, place.at) for place in lay(fstab, volumes, empty=empty).places) == expected


@pytest.mark.parametrize(
    ("volume", "told", "expected"),
    [
        (ROOT, ("rw", "errors=remount-ro"), ("ro",)),
        (VAR, ("logbufs=8",), ("ro", "nouuid")),
        (BTRFS, ("subvolid=256", "compress=zstd"), ("ro", "subvolid=256")),
        (ESP, ("uid=1", "iocharset=x"), ("ro", "uid=1")),
    ],
)
def test_options_are_those_that_decide_what_is_seen(
    volume: Volume, told: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert options(volume, told) == expected
