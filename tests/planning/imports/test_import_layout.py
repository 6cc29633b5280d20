"""Layouts of other programs: what each file becomes, what is told about it, and that nothing else than that happens."""

import os
from pathlib import Path
from uuid import UUID
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import BadInput, CannotPlan
from imaged.model.hardware import Bus, Disk, Firmware, Inventory
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.layout import Label, Role, Wipe
from imaged.model.plan import MakeFilesystem
from imaged.model.size import GIB, MIB
from imaged.model.stack import Filesystem, Preserve
from imaged.planning import layout
from imaged.planning.choose import choose
from imaged.planning.imports import typecodes
from imaged.planning.imports.foreign import Imported
from imaged.planning.imports.read import Source, guessed, import_layout
from imaged.planning.layout_text import layout_text
from imaged.planning.storage import storage
from imaged.store import yamlfile

DATA = Path(__file__).parents[2] / "data/layouts-import"
FILES = sorted(path for path in DATA.iterdir() if path.suffix != ".yaml")


FACTS = ImageFacts(arch="x86_64", kernels=(Kernel("6.1", "/boot/vmlinuz-6.1"),), grub_platforms=("i386-pc",))
VERSION = Version("compute", 1, "2026-01-01T00:00:00Z", "", 100 * MIB, 1000, "0" * 64, FACTS)


def machine(count: int) -> Inventory:
    """Bare disks, whose kernel's names are not in the order of their places."""
    disks = (
        Disk(f"/dev/nvme{7 - number}n1", 200 * GIB, bus=Bus.NVME, by_path=f"pci-0000:0{number}:00.0-nvme-1")
        for number in range(count)
    )
    return Inventory("x86_64", Firmware.BIOS, 4 * GIB, 4, tuple(disks), ())


def written(imported: Imported) -> str:
    return layout_text(imported.layout, [str(note) for note in imported.notes])


def told(imported: Imported) -> str:
    return "\n".join(map(str, imported.notes))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_becomes_the_layout_that_was_reviewed(path: Path) -> None:
    imported = import_layout(path.read_text())
    text = written(imported)
    golden = path.with_name(f"{path.name}.yaml")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    data = yamlfile.parse(text, where=golden.name)
    assert data == imported.layout
    assert layout.read(data, "imported").disks


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("<config/>", Source.SYSTEMIMAGER), ("\ufeff\n <!-- a --><config/>", Source.SYSTEMIMAGER),
        ("label: dos\n", Source.SFDISK), ("# partition table of /dev/sda\nunit: sectors\n", Source.SFDISK),
        ("/dev/sda1 : start= 63, size= 1\n", Source.SFDISK), ("/dev/sda1 24 ext3 /boot\n", Source.OSCAR),
        ("units=MB\n", Source.OSCAR), ("", Source.OSCAR),
    ],
)  # fmt: skip
def test_whose_it_is(text: str, source: Source) -> None:
    assert guessed(text) is source


def conf(*lines: str, unit: str = "MiB", label: str = "gpt", parts: str = "") -> str:
    parts = parts or '<part num="1" size="2" flags="bios_grub" p_type="primary"/><part num="2" size="*"/>'
    return f'<config>\n<disk dev="/dev/sda" label_type="{label}" unit_of_measurement="{unit}">{parts}</disk>\n' + (
        "\n".join(lines or ('<fsinfo real_dev="/dev/sda2" mp="/" fs="ext4"/>',)) + "\n</config>"
    )


ROOT = '<fsinfo real_dev="/dev/sda2" mp="/" fs="ext4"/>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no disk with partitions is in it, read as oscar"),
        ("nonsense of three words\n", "no disk with partitions"),
        ("<config></config>", "no disk with partitions is in it, read as systemimager"),
        ("<html/>", "line 1: it is a <html>"),
        ("<config>\n<disk>", "line 2: no element found"),
        ('<!DOCTYPE config [<!ENTITY a SYSTEM "file:///etc/passwd">]><config>&a;</config>', "a DOCTYPE is not taken"),
        ("<a>" * 100 + "</a>" * 100, "elements within elements without end"),
        ("<config>" + "\ud800" + "</config>", "it is not text"),
        (conf('<fsinfo real_dev="/dev/sda2" mp="/data" fs="ext4"/>'), "nothing is mounted at /"),
        ("x" * (1 << 21), "too many for a disk layout"),
        ("label: gpt\n/dev/sda1 : start=1, size=9\n", "nothing is mounted at /"),
        (conf(ROOT.replace("ext4", "vfat")), "vfat keeps no owners and modes"),
        (conf(ROOT.replace("ext4", "ntfs")), "what is in it makes no layout"),
        (conf(parts='<part num="1" size="2" flags="bios_grub"/><part num="2" size="9999999999999"/>'), "more than any"),
    ],
)  # fmt: skip
def test_what_is_no_layout(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        import_layout(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("size", "unit", "given_size"),
    [
        ("500", "MB", "477M"), ("500", "MiB", "500M"), ("1.5", "GiB", "1536M"), ("1", "TiB", "1T"),
        ("2", "GB", "1908M"), ("1048576", "kB", "1000M"), ("1048576", "KiB", "1G"), ("4194304", "s", "2G"),
        ("1073741824", "B", "1G"), ("1", "B", "1M"),
        ("*", "MB", {"weight": 1000}), ("12.5", "%", {"weight": 1250}), ("0.001", "%", {"weight": 1}),
        ("100", "percentage", {"weight": 10000}),
    ],
)  # fmt: skip
def test_sizes(size: str, unit: str, given_size: object) -> None:
    parts = f'<part num="2" size="{size}" p_type="primary"/>'
    imported = import_layout(conf(label="msdos", unit=unit, parts=parts))
    assert imported.layout["disks"][0]["partitions"][0]["size"] == given_size


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ('<fsinfo real_dev="/dev/sda9" mp="/x" fs="ext4"/>', "no partition, array or volume here is called so"),
        ('<fsinfo real_dev="/dev/sda2" mp="/y" fs="ext4"/>', "/dev/sda2 carries something already"),
        ('<fsinfo real_dev="/dev/sda1" mp="/" fs="ext4"/>', "something is mounted at / already"),
        ('<fsinfo real_dev="/swapfile" mp="swap" fs="swap"/>', "its size is not told"),
        ('<fsinfo real_dev="UUID=1-2" mp="/u" fs="ext4"/>', "no partition, array or volume here is called so"),
        ('<fsinfo real_dev="srv:/a b" mp="/n" fs="nfs"/>', "srv:/a b at /n is left out: 'srv:/a b' must be one word"),
        ('<fsinfo real_dev="srv:/a" mp="../n" fs="nfs"/>', "it is mounted nowhere"),
        ('<fsinfo real_dev="/dev/cdrom" mp="/cd" fs="iso9660"/>', "it is a drive for media"),
        ('<fsinfo real_dev="none" mp="/sys" fs="sysfs"/>', "left to the running system"),
        ('<raid name="/dev/md0" raid_level="linear" devices="/dev/sda1"/>', "has level 'linear', which"),
        ('<raid name="/dev/md0" raid_level="raid5" devices="/dev/sda1"/>', "(level 5 of 1 devices): left out"),
        ('<raid name="/dev/md0" raid_level="1" devices="/dev/sdq1"/>', "/dev/sdq1, a member of /dev/md0"),
        ('<lvm><lvm_group name="v"><lv name="a" size="1G"/></lvm_group></lvm>', "volume group v cannot be made"),
        ('<lvm><lvm_group name="v"><lv name="a" size="big"/></lvm_group></lvm>', "'a' of v, size 'big'"),
        ('<disk dev="sdb" label_type="gpt"/>', "a disk 'sdb' with label_type 'gpt' is not known"),
        ('<disk dev="/dev/sda" label_type="gpt"><part num="1" size="1"/></disk>', "/dev/sda is there already"),
        ('<disk dev="/dev/sdb" label_type="gpt"><part num="x" size="1"/></disk>', "'x' of size '1 MB' cannot"),
        ('<disk dev="/dev/sdb" label_type="gpt"/>', "/dev/sdb has no partitions"),
        ('<bootloader flavor="clover" install_type="efi"/>', "the boot loader 'clover' is not installed"),
        ('<strange a="b"/>', "<strange> is not known"),
        ('<fsinfo real_dev="/dev/sda9" mp="/x" fs="ext4" odd="1"/>', "odd='1' of <fsinfo> is not carried over"),
    ],
)  # fmt: skip
def test_what_is_not_carried_over_is_told_with_its_line(lines: str, note: str) -> None:
    imported = import_layout(conf(ROOT, lines))
    (found,) = [each for each in imported.notes if note in each.what]
    assert found.line == 4
    plain = import_layout(conf(ROOT))
    assert imported.layout == plain.layout


def test_arrays_of_systemimager_3_have_their_members_in_themselves() -> None:
    disks = "".join(
        f'<disk dev="/dev/{name}" label_type="msdos" unit_of_measurement="MB">'
        '<part num="1" size="*" p_type="primary" flags="raid"/></disk>\n'
        for name in ("hda", "hdb", "hdc")
    )
    raid = (
        '<raid name="/dev/md0" raid_level="raid1" raid_devices="2" spare_devices="1" persistence="yes"'
        ' devices="/dev/hda1 /dev/hdb1 /dev/hdc1"/>'
    )
    imported = import_layout(f'<config>{disks}{raid}<fsinfo real_dev="/dev/md/0" mp="/" fs="xfs"/></config>')
    read = layout.read(imported.layout, "raid")
    (array,) = read.raid
    assert (array.devices, array.spares) == (("hda.md0", "hdb.md0", "hdc.md0"), 1)
    assert (array.level[0].level, array.fs, array.mount) == (1, Filesystem.XFS, "/")


def test_an_esp_on_an_array_becomes_one_on_each_disk() -> None:
    text = (
        "label_type=gpt\nraid1 /dev/md0 /dev/sda1 /dev/sdb1\nraid1 /dev/md1 /dev/sda2 /dev/sdb2\n"
        "/dev/md0 512 vfat /boot/efi umask=0077\n/dev/md1 * xfs / defaults\n"
    )
    imported = import_layout(text)
    assert "firmware cannot read there" in told(imported)
    read = layout.read(imported.layout, "mirrored")
    assert read.esp and (read.esp.primary, read.esp.mirrors) == ("sda.esp", ("sdb.esp",))


def test_what_is_not_formatted_is_never_wiped() -> None:
    """``format="no"`` on a volume keeps its group, the array below and the disks' tables."""
    disks = "".join(
        f'<disk dev="/dev/sd{name}" label_type="gpt" unit_of_measurement="GiB"><part num="1" size="5" flags="esp"/>'
        '<part num="3" size="9"/><part num="2" size="*" raid_dev="/dev/md0"/></disk>'
        for name in "ab"
    )
    rest = (
        '<raid><raid_disk name="/dev/md0" raid_level="1" lvm_group="vg0"/></raid><lvm><lvm_group name="vg0">'
        '<lv name="root" size="10G"/><lv name="home" size="*"/></lvm_group></lvm>'
        '<fsinfo real_dev="/dev/vg0/root" mp="/" fs="ext4"/>'
        '<fsinfo real_dev="/dev/vg0/home" mp="/home" fs="xfs" format="no"/>'
    )
    imported = import_layout(f"<config>{disks}{rest}</config>")
    read = layout.read(imported.layout, "kept")
    assert {disk.wipe for disk in read.disks} == {Wipe.NONE}
    kept = [part for disk in read.disks for part in disk.partitions if part.preserve is Preserve.REQUIRED]
    assert [(part.role, part.number) for part in kept] == [(Role.RAID, 2), (Role.RAID, 2)]
    assert read.raid[0].preserve is read.lvm[0].preserve is Preserve.REQUIRED
    assert {lv.id: lv.preserve for lv in read.lvm[0].lvs} == {"root": Preserve.NEVER, "home": Preserve.REQUIRED}
    assert "partition 3 of /dev/sda is not named here, so it stays" in told(imported)
    with pytest.raises(CannotPlan, match="preserves"):
        storage("n1", VERSION, read, machine(2), UUID(int=1))


def test_many_logical_partitions_need_a_gpt() -> None:
    rows = "".join(f"/dev/sda{number} 100 ext4 /d{number} defaults\n" for number in (5, 6, 7, 8))
    read = layout.read(import_layout(f"/dev/sda1 * ext4 / defaults\n{rows}").layout, "many")
    assert read.disks[0].label is Label.GPT
    assert read.disks[0].partitions[0].role is Role.BIOS_GRUB


ONTO_DISKS = {
    "lvm-over-raid.conf": (2, 4), "efi.xml": (1, 3), "scsi.disk": (1, 2), "swraid1.disk": (3, 2),
    "cciss-percent.disk": (1, 3), "gpt.sfdisk": (1, 2), "dos-logical.sfdisk": (1, 2), "old-raid.sfdisk": (2, 2),
}  # fmt: skip  # of disks, and of filesystems


@pytest.mark.parametrize("name", ONTO_DISKS)
def test_a_plan_puts_it_on_disks_by_their_place(name: str) -> None:
    count, filesystems = ONTO_DISKS[name]
    read = layout.read(import_layout((DATA / name).read_text()).layout, "imported")
    bare = machine(count + 1)
    assert choose(read, bare) == {spec.id: (disk,) for spec, disk in zip(read.disks, bare.disks, strict=False)}
    planned = storage("n1", VERSION, read, bare, UUID(int=1))
    assert len([step for step in planned.stack if isinstance(step, MakeFilesystem)]) == filesystems


SFDISK_LINE = st.builds(
    "/dev/{}{} : start={}, size={}, type={}, name={}".format,
    st.sampled_from(["sda", "sdb", "nvme0n1p", "md"]), st.integers(0, 9), st.integers(0, 2**40), st.integers(0, 2**45),
    st.sampled_from(["83", "82", "5", "8e", "fd", "ef", *typecodes.GPT, *typecodes.MOUNTS, typecodes.LINUX]),
    st.sampled_from(['"root"', '"home"', '"\t"', '"x"', ""]),
)  # fmt: skip
DEVICE = st.sampled_from(["/dev/sda1", "/dev/sda2", "/dev/sdb1", "/dev/sdb5", "/dev/md0", "/dev/md1", "/dev/vg/a", "x"])
POINT = st.sampled_from(["/", "/boot", "/boot/efi", "/a", "/a b", "/proc", "swap", "/../x", "none", "é"])
FS = st.sampled_from(["ext3", "xfs", "vfat", "swap", "reiserfs", "nfs", "extended", "ntfs", "_ROOTFS_", "é\x1b"])
OSCAR_LINE = st.one_of(
    st.builds("{} {} {} {} {}".format, DEVICE, st.sampled_from(["*", "9", "0", "50%", "-", "1e9", "99999999999999"]),
              FS, POINT, st.sampled_from(["defaults", "ro,notail", "bootable", "\x7f"])),
    st.builds("raid{} {} {} {}".format, st.integers(0, 11), DEVICE, DEVICE, DEVICE),
    st.sampled_from(["units=%", "units=GiB", "label_type=gpt", "boot_type=efi"]),
)  # fmt: skip


def attribute(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return values.map(quoteattr)


VALUE = attribute(st.one_of(st.sampled_from(["1", "2", "*", "raid", "vg", "no", "-", "LABEL=/", "yes"]),
                            st.text(st.characters(min_codepoint=32, max_codepoint=300), max_size=12)))  # fmt: skip
XML_LINE = st.one_of(
    st.builds('<disk dev={} label_type={} unit_of_measurement={}><part num="1" size={} flags={} lvm_group={}/>'
              '<part num="2" size="*" p_name={} raid_dev={}/></disk>'.format,
              attribute(st.sampled_from(["/dev/sda", "/dev/sdb", "/dev/nvme0n1", "/dev/", "é"])),
              attribute(st.sampled_from(["gpt", "msdos", "convert", "none", "x"])),
              attribute(st.sampled_from(["MB", "%", "TiB", "x"])), VALUE,
              attribute(st.sampled_from(["raid", "lvm", "swap", "esp", "boot,lba", "x"])), VALUE, VALUE, VALUE),
    st.builds("<raid name={} raid_level={} devices={} spare_devices={} lvm_group={}/>".format,
              attribute(DEVICE), VALUE, attribute(st.lists(DEVICE).map(" ".join)), VALUE, VALUE),
    st.builds("<lvm><lvm_group name={} phys_extent_size={}><lv name={} size={}/><lv name={} size={}/></lvm_group></lvm>"
              .format, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE),
    st.builds("<fsinfo real_dev={} mount_dev={} mp={} fs={} options={} mkfs_opts={} format={}/>".format,
              attribute(DEVICE), VALUE, attribute(POINT.filter(lambda text: "\x1b" not in text)),
              attribute(FS.filter(lambda text: "\x1b" not in text)), VALUE, VALUE, VALUE),
)  # fmt: skip


SOUND = (
    '<disk dev="/dev/sdc" label_type="msdos" unit_of_measurement="MB"><part num="1" size="*"/></disk>'
    '<fsinfo real_dev="/dev/sdc1" mp="/" fs="ext4"/>'
)  # so that most of the rest is looked at


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200).map(lambda text: (text, None)),
        st.lists(
            st.one_of(SFDISK_LINE, st.sampled_from(["label: gpt", "label: dos", "unit: sectors"])), max_size=8
        ).map(lambda lines: ("\n".join(lines), Source.SFDISK)),
        st.lists(OSCAR_LINE, max_size=10).map(
            lambda lines: ("\n".join(["/dev/sdc1 * ext4 / rw", *lines]), Source.OSCAR)
        ),
        st.lists(XML_LINE, max_size=10).map(
            lambda lines: (f"<config>{SOUND}{''.join(lines)}</config>", Source.SYSTEMIMAGER)
        ),
    ),
    st.sampled_from(Source),
)
def test_any_text_gives_a_layout_or_says_why_not(given_text: tuple[str, Source | None], other: Source) -> None:
    text, source = given_text
    try:
        imported = import_layout(text, source or other)
    except BadInput:
        return
    again = yamlfile.parse(written(imported), where="generated")
    assert again == imported.layout
    layout.read(again, "generated")
