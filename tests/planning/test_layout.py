"""Layouts: what a file may say, every fault of one that does not, and which machines and images it suits."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import BadInput, CannotPlan
from imaged.model.hardware import Bus, Firmware, Inventory
from imaged.model.image import ImageFacts, Kernel
from imaged.model.layout import Boot, BootFirmware, Count, DiskSpec, Esp, Label, Layout, Partition, Role, Wipe
from imaged.model.match import Match, Pick
from imaged.model.size import GIB, MIB, Bytes, Cap, SizeBounds, SizeSpec
from imaged.model.stack import Crypt, Filesystem, LevelFor, OtherMount, Preserve, SwapFile, ThinPool, Unlock, Volume
from imaged.planning.layout import check, read
from imaged.store import yamlfile

_DATA = Path(__file__).parents[1] / "data/layouts"
_MANUAL = Path(__file__).parents[2] / "docs/layouts.md"
_SHIPPED = Path(__file__).parents[2] / "autoinstall_scripts/layouts"


def _file(path: Path) -> Layout:
    return read(yamlfile.load(path), path.stem)


def _exactly(size: int) -> SizeSpec:
    return SizeSpec(Bytes(size), Bytes(size))


def test_the_shipped_one_disk_layout() -> None:
    any_disk = (Bus.NVME, Bus.VIRTIO, Bus.SATA, Bus.SAS, Bus.MMC, Bus.OTHER)
    assert _file(_SHIPPED / "one-disk.yaml") == Layout(
        "one-disk",
        (
            DiskSpec(
                "os",
                (
                    Partition("bios", Role.BIOS_GRUB, _exactly(MIB)),
                    Partition(
                        "esp",
                        Role.ESP,
                        _exactly(512 * MIB),
                        fs=Filesystem.VFAT,
                        mount="/boot/efi",
                        options="umask=0077",
                    ),
                    Partition("swap", Role.SWAP, SizeSpec(Bytes(256 * MIB), Bytes(16 * GIB), 1, Cap.RAM), 10),
                    Partition("root", Role.ROOT, SizeSpec(Bytes(2 * GIB), None, 8), 0, fs=Filesystem.EXT4, mount="/"),
                ),
                (Match(bus=any_disk, size=SizeBounds(4 * GIB), pick=Pick.SMALLEST),),
            ),
        ),
    )


def test_single_values_and_lists_and_alternatives() -> None:
    layout = _file(_DATA / "two-disks.yaml")
    os, data = layout.disks
    assert os.match == (
        Match(wwn=("eui.0025385*",)),
        Match(rotational=False, size=SizeBounds(100 * GIB, 2**41), pick=Pick.SMALLEST),
    )
    assert data.match == (Match(rotational=True, model=("ST*", "WDC WD*"), pick=Pick.LARGEST),)
    assert os.label is Label.GPT
    assert layout.boot == Boot(BootFirmware.UEFI, console="ttyS1,115200n8")
    assert [partition.fs for partition in data.partitions] == [Filesystem.BTRFS, None]


@pytest.mark.parametrize("path", sorted(_SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_we_ship_is_without_fault(path: Path) -> None:
    assert _file(path).name == path.stem


def test_every_way_to_write_it() -> None:
    layout = _file(_DATA / "everything.yaml")
    assert [disk.count for disk in layout.disks] == [Count(2, 2), Count(0, 12), Count()]
    assert [disk.wipe for disk in layout.disks] == [Wipe.ALL, Wipe.ALL, Wipe.NONE]
    home = layout.disks[2].partitions[3]
    assert (home.mkfs, home.preserve) == (("-m", "0"), Preserve.IF_PRESENT)
    assert [array.level for array in layout.raid] == [
        (LevelFor(1),), (LevelFor(1),), (LevelFor(1, 2, 2), LevelFor(5, 3, 3), LevelFor(6, 4)),
    ]  # fmt: skip
    assert layout.luks == (
        Crypt(id="c0", devices=("one.l",), fs=Filesystem.XFS, mount="/c", unlock=(Unlock.TPM2, Unlock.KEYFILE)),
    )
    group, kept = layout.lvm
    assert (group.devices, group.extent, group.reserve) == (("one.p",), 8 * MIB, 10.0)
    assert group.thin == (ThinPool("pool", _exactly(5 * GIB)),)
    assert group.lvs[2] == Volume(id="w", size=_exactly(GIB), swap=True, priority=1)
    assert (kept.preserve, kept.devices) == (Preserve.REQUIRED, ())
    assert layout.esp == Esp("/boot/efi", "os[0].esp", ("os[1].esp",))
    assert layout.mounts == (OtherMount("server:/home", "/home", "nfs"),)
    assert layout.swap == (SwapFile("/a/swapfile", _exactly(GIB), "ram < 8G"),)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"count": {"min": 3}}, {"count": {"min": 3, "max": 9999}}),
        ({"count": 3}, {"count": {"min": 3, "max": 3}}),
        ({"similar": "7.5 %"}, {"similar": 7.5}),
        ({"match": {"serial": 1234}}, {"match": [{"serial": ["1234"]}]}),
        ({"top_raid": [{"level": "raid1", "metadata": 1.0}]}, {"top_raid": [{"level": 1, "metadata": "1.0"}]}),
        ({"top_raid": [{"level": {2: 1, "3-4": 5}}]}, {"top_raid": [{"level": {"2": 1, "3-4": "raid5"}}]}),
        ({"top_raid": [{"level": [{"level": 1, "least": 2}]}]}, {"top_raid": [{"level": {"2+": "1"}}]}),
        ({"top_luks": [{"type": "luks2", "key": {"from": "server"}}]}, {"top_luks": [{"key": "server"}]}),
        ({"top_luks": [{"unlock": "tpm2"}]}, {"top_luks": [{"unlock": ["tpm2"]}]}),
        ({"top_lvm": [{"reserve": "10%"}]}, {"top_lvm": [{"reserve": 10}]}),
        ({"top_lvm": [{"lvs": [{"id": "s", "size": 1024, "fs": "swap"}]}]},
         {"top_lvm": [{"lvs": [{"id": "s", "size": "1K", "swap": True}]}]}),
        ({"top_lvm": [{"thin": {"id": "p", "size": "1KB"}}]}, {"top_lvm": [{"thin": [{"id": "p", "size": 1000}]}]}),
    ],
)  # fmt: skip
def test_two_ways_to_write_one_thing(changes: dict[str, Any], same: dict[str, Any]) -> None:
    assert read(_stack(**changes), "x") == read(_stack(**same), "x")


def test_the_examples_of_the_specification() -> None:
    given = {path.stem: _file(path) for path in sorted((_DATA / "spec").glob("*.yaml"))}
    assert list(given) == ["btrfs-subvolumes", "luks-lvm-keep-data", "one-disk", "raid1-data-raid"]
    assert [len(layout.disks) for layout in given.values()] == [1, 1, 1, 2]
    assert given["one-disk"].boot.removable_path
    assert given["raid1-data-raid"].raid == _file(_SHIPPED / "raid1-data-raid.yaml").raid
    assert given["luks-lvm-keep-data"].lvm == _file(_SHIPPED / "luks-lvm-keep-data.yaml").lvm
    assert given["btrfs-subvolumes"].swap == _file(_SHIPPED / "btrfs-subvolumes.yaml").swap
    assert (
        given["btrfs-subvolumes"].disks[0].partitions[2]
        == (_file(_SHIPPED / "btrfs-subvolumes.yaml").disks[0].partitions[2])
    )


def _fenced(kind: str) -> list[str]:
    """The examples of one kind in the manual."""
    return [part.split("```")[0] for part in _MANUAL.read_text().split(f"```{kind}\n")[1:]]


@pytest.mark.parametrize("number", [0, 2, 3, 4])
def test_the_manuals_examples_are_without_fault(number: int) -> None:
    assert read(yamlfile.parse(_fenced("yaml")[number], where="docs/layouts.md"), "manual").disks


def test_the_manuals_faults_are_told_so() -> None:
    faulty = _fenced("yaml")[1]
    for text, told in zip((faulty, faulty.replace("levle", "level")), _fenced("text"), strict=True):
        with pytest.raises(BadInput) as caught:
            read(yamlfile.parse(text, where="docs/layouts.md"), "site")
        assert str(caught.value) == told.strip()


def test_every_fault_of_a_file_is_told_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        _file(_DATA / "faulty.yaml")
    assert caught.value.where == "layout faulty"
    told = caught.value.what
    for fault in (
        "version: 2 is not",
        "unknown key 'ride' (did you mean 'raid'?)",
        "disks[0]: unknown key 'macth' (did you mean 'match'?)",
        "disks[0].match[0].bus[1]: 'scsi' is not one of nvme,",
        "disks[0].match[0].size: '>8G' is not a size",
        "disks[0].id: 'o s' must be",
        "disks[0].match[1].path: '/dev/sda' is the kernel's name",
        "disks[0].match[1].sector: 520 is neither",
        "disks[0].partitions[0].size: '10%' is not a size",
        "disks[0].partitions[1].size: min 2 GiB is above max 1 GiB",
        "disks[0].partitions[1].mount: a partition of role swap has none",
        "disks[0].partitions[2].id: 'swap' is there already (disks[0].partitions[1].id)",
        "disks[0].partitions[2].size.weight: -1 is not within",
        "disks[0].partitions[2].mount: 'relative' must begin with /",
        "disks[0].partitions[3].fs: vfat keeps no owners",
        "disks[0].partitions[3].priority: role root cannot be left out",
        "disks[0].partitions[4].mount: '/' is there already (disks[0].partitions[3].mount)",
        "disks[0].partitions[4].label: 'a-label-of-seventeen' is longer than the 16 bytes",
        "boot.console: 'ttyS0 quiet' is not a console",
    ):
        assert fault in told


def _plain(**changes: Any) -> dict[str, Any]:
    """A layout without fault, with keys of its disk changed; ``top_`` before a name changes the file's."""
    disk = {
        "id": "os",
        "match": {"path": "pci-*"},
        "partitions": [
            {"id": "bios", "role": "bios_grub"},
            {"id": "root", "role": "root", "size": {"min": "4G"}, "fs": "ext4", "mount": "/"},
        ],
    }
    top = {key.removeprefix("top_"): value for key, value in changes.items() if key.startswith("top_")}
    disk |= {key: value for key, value in changes.items() if not key.startswith("top_")}
    return {"version": 1, "disks": [disk]} | top


_ROWS = {
    "raid": {"id": "m", "devices": ["os[0].a", "os[1].a", "os[2].a"], "level": 1, "fs": "xfs", "mount": "/m"},
    "luks": {"id": "c", "devices": "os[0].c", "fs": "xfs", "mount": "/c"},
    "lvm": {"vg": "v", "devices": "os[0].v"},
}


def _stack(**changes: Any) -> dict[str, Any]:
    """An array, an encrypted device and a group on three disks; ``top_raid`` changes the array."""
    parts = [{"id": id, "role": role, "size": "1G"} for id, role in (("a", "raid"), ("c", "luks"), ("v", "pv"))]
    esp = {"id": "esp", "role": "esp", "size": "1G", "fs": "vfat"}
    many = {"id": "os", "count": 3, "match": {"bus": "sata"}, "partitions": [esp, *parts]}
    many |= {key: value for key, value in changes.items() if not key.startswith("top_")}
    rows = {key: [row | (changes.get(f"top_{key}") or [{}])[0]] for key, row in _ROWS.items()}
    one = {**_plain()["disks"][0], "id": "one"}
    top = {"esp": {"mount": "/efi", "primary": "os[0].esp", "mirrors": ["os[*].esp"]}}
    return {"version": 1, "disks": [many, one], **rows, **top}


def _partitions(*more: dict[str, Any]) -> dict[str, Any]:
    return _plain(partitions=[*_plain()["disks"][0]["partitions"], *more])


_ESP = {"id": "esp", "role": "esp", "size": "512M", "fs": "vfat", "mount": "/boot/efi"}
_HOME = {"id": "home", "role": "data", "size": "1G", "fs": "ext4", "mount": "/home"}


@pytest.mark.parametrize(
    "data",
    [
        _plain(),
        _partitions(_ESP, _HOME),
        _partitions({"id": "raw", "role": "data", "size": "1G"}),
        _partitions({"id": "unmounted", "role": "data", "size": "1G", "fs": "xfs", "label": "spare"}),
        _plain(match=[{"serial": 12345678}, {"bus": "nvme", "sector": 4096}]),
        _plain(match={"path": "/dev/disk/by-path/pci-0000:00:1f.2-ata-1"}),
        _plain(label="msdos", partitions=[{**_plain()["disks"][0]["partitions"][1]}], top_boot={"firmware": "bios"}),
    ],
)
def test_what_a_layout_may_say(data: dict[str, Any]) -> None:
    assert read(data, "x").disks


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (None, "expected a mapping of keys, got None"),
        ([], "expected a mapping of keys, got []"),
        ({}, "version: the key 'version' is missing"),
        ({"version": 1}, "disks: the key 'disks' is missing"),
        ({"version": "1", "disks": []}, "version: expected a whole number, got '1'"),
        ({"version": 1, "disks": []}, "disks: nothing is mounted at /"),
        ({"version": 1, "disks": {}}, "disks: expected a list, got {}"),
        ({"version": 1, "disks": [None]}, "disks[0]: expected a mapping of keys, got None"),
        (_plain(partitions=None), "disks[0].partitions: expected a list, got None"),
        (_plain(partitions=[]), "disks[0].partitions: there must be at least one"),
        (_plain(match=[]), "disks[0].match: there must be at least one"),
        (_plain(match=None), "disks[0].match: expected a list, got None"),
        (_plain(match=["nvme"]), "disks[0].match[0]: expected a mapping of keys, got 'nvme'"),
        (_plain(match={"path": "/dev/sda"}), "disks[0].match[0].path: '/dev/sda' is the kernel's name"),
        (_plain(match={"sector": 520}), "disks[0].match[0].sector: 520 is neither 512 nor 4096"),
        (_plain(match={"serial": ""}), "disks[0].match[0].serial: is empty"),
        (_plain(match={"serial": 1.5}), "disks[0].match[0].serial[0]: expected a string, got 1.5"),
        (_plain(match={"pick": "any"}), "disks[0].match[0].pick: 'any' is not one of smallest"),
        (_plain(id=""), "disks[0].id: '' must be"),
        (_plain(id="x" * 37), "must be 1 to 36 letters"),
        (_plain(hctl="0:0:0:0"), "disks[0]: unknown key 'hctl'"),
        (_plain(label="mbr"), "disks[0].label: 'mbr' is not one of gpt, msdos"),
        (_plain(label="msdos"), "disks[0].partitions[0].role: bios_grub is for GPT only"),
        (_plain(top_zfs=[]), "unknown key 'zfs'"),
        (_plain(top_boot={"order": "network"}), "boot.order: 'network' is not one of network-first, disk-first"),
        (_plain(top_boot={"firmware": "uefi"}), "boot.firmware: uefi needs a partition of role esp"),
        (_partitions(_ESP, {**_ESP, "id": "b", "mount": "/efi"}), "[3].role: esp is there already"),
        (_partitions({**_ESP, "fs": "ext4"}), "[2].fs: firmware reads vfat only"),
        (_partitions({**_ESP, "mount": ""}), "[2].mount: the key 'mount' is missing"),
        (_partitions({**_HOME, "size": {"min": "1G", "maximum": "2G"}}), "[2].size: unknown key 'maximum'"),
        (_partitions({**_HOME, "size": "-1G"}), "[2].size: '-1G' is not a size"),
        (_partitions({**_HOME, "size": "512K"}), "[2].size.max: 512 KiB is too little"),
        (_partitions({**_HOME, "size": "9999999999T"}), "is more than any disk has"),
        (_partitions({**_HOME, "size": None}), "[2].size: expected a mapping of keys, got None"),
        (_partitions({**_HOME, "size": {"cap": "disk"}}), "[2].size.cap: 'disk' is not one of ram"),
        (_partitions({**_HOME, "mount": "/home/../etc"}), "[2].mount: '/home/../etc' must be a plain path"),
        (_partitions({**_HOME, "mount": "/ho me"}), "must be a plain path"),
        (_partitions({**_HOME, "mount": "/home\n"}), "must be a plain path"),
        (_partitions({**_HOME, "mount": "/home/"}), "must be a plain path"),
        (_partitions({**_HOME, "mount": "//"}), "must be a plain path"),
        (_partitions({**_HOME, "mount": "/proc"}), "'/proc' belongs to the running system"),
        (_partitions({**_HOME, "mount": "/dev/shm"}), "'/dev/shm' belongs to the running system"),
        (_partitions({**_HOME, "mount": "/boot"}), "[2].mount: role boot and the mount point /boot go together"),
        (_partitions({**_HOME, "role": "root", "id": "r"}), "[2].role: root is there already"),
        (_partitions({**_HOME, "fs": "zfs"}), "[2].fs: 'zfs' is not one of ext4"),
        (_partitions({"id": "d", "role": "data", "size": "1G", "mount": "/d"}), "[2].mount: needs fs"),
        (_partitions({**_HOME, "options": "ro, noatime"}), "[2].options: 'ro, noatime' must be one word"),
        (_partitions({**_HOME, "label": "a/b"}), "[2].label: 'a/b' must be printable, without '/'"),
        (_partitions({**_HOME, "fs": "xfs", "label": "thirteenbytes"}), "longer than the 12 bytes"),
        (_partitions({**_HOME, "fs": "vfat", "label": "small", "mount": "/d"}), "must be capital letters"),
        (_partitions({**_HOME, "priority": "high"}), "[2].priority: expected a whole number"),
        (_partitions({**_HOME, "when": "ram << 8G"}), "[2].when: column 6: expected a size such as 8G, '<' is there"),
        (_partitions({"id": "s", "role": "swap", "size": "1G", "fs": "ext4"}), "[2].fs: a partition of role swap has"),
        (
            _plain(partitions=[{"id": str(n), "role": "data", "size": "1G"} for n in range(5)], label="msdos"),
            "disks[0].partitions: 5 are too many, msdos holds 4",
        ),
        (
            _plain(partitions=[{"id": "r", "role": "root", "size": "4G", "fs": "ext4", "mount": "/"}]),
            "disks: no firmware can start this",
        ),
        ({"version": 1, "disks": [*_plain()["disks"], *_plain()["disks"]]}, "disks[1].id: 'os' is there already"),
    ],
)  # fmt: skip
def test_what_it_may_not_say(data: Any, fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(data, "x")
    assert fault in caught.value.what


def test_a_list_within_itself_is_bad_input() -> None:
    data = _plain()
    data["disks"].append(data)
    with pytest.raises(BadInput):
        read(data, "x")


_WORDS = st.sampled_from(
    ("os", "", "esp", "root", "swap", "data", "bios_grub", "boot", "ext4", "vfat", "/", "/boot", "/home", "512M", "1G",
     "0", "10%", ">=8G", "nvme", "smallest", "ram", "gpt", "msdos", "uefi", "x" * 50)
)  # fmt: skip
_KEYS = st.sampled_from(
    ("version", "disks", "boot", "id", "match", "partitions", "label", "role", "size", "min", "max", "weight", "cap",
     "fs", "mount", "options", "priority", "bus", "pick", "serial", "firmware", "console", "zzz")
)  # fmt: skip
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=25,
)


@given(_JUNK)
@settings(max_examples=300, deadline=None)
def test_any_data_is_a_layout_or_bad_input(data: Any) -> None:
    _read_or_refuse(data)


@given(st.lists(st.dictionaries(_KEYS, _JUNK, max_size=6), max_size=3), st.dictionaries(_KEYS, _JUNK, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_disks_are_a_layout_or_bad_input(disks: list[Any], top: dict[str, Any]) -> None:
    _read_or_refuse({**top, "version": 1, "disks": [{**_plain()["disks"][0], **disk} for disk in disks]})


def _read_or_refuse(data: Any) -> None:
    try:
        layout = read(data, "x")
    except BadInput as error:
        assert error.what
        return
    assert layout.disks and layout.name == "x"


_MACHINE = Inventory("x86_64", Firmware.UEFI, 8 * GIB, 4, (), ())
_IMAGE = ImageFacts("x86_64", kernels=(Kernel("6.1", "boot/vmlinuz"),), grub_platforms=("i386-pc", "x86_64-efi"))
_BOTH = read(_partitions(_ESP), "both")
_CRYPT = evolve(_BOTH, luks=(Crypt("crypt0", ("os.secret",), fs=Filesystem.EXT4, mount="/srv"),))
_CRYPT_ROOT = evolve(_BOTH, luks=(Crypt("crypt0", ("os.secret",), fs=Filesystem.EXT4, mount="/"),))
_BIOS_ONLY = read(_plain(), "bios-only")
_UEFI_ONLY = read(_plain(partitions=[_ESP, _plain()["disks"][0]["partitions"][1]]), "uefi-only")


@pytest.mark.parametrize(
    ("layout", "image", "machine"),
    [
        (_BOTH, _IMAGE, _MACHINE),
        (_BOTH, _IMAGE, evolve(_MACHINE, firmware=Firmware.BIOS)),
        (_BOTH, evolve(_IMAGE, arch="amd64"), _MACHINE),
        (_BIOS_ONLY, evolve(_IMAGE, grub_platforms=("i386-pc",)), evolve(_MACHINE, firmware=Firmware.BIOS)),
        (_BIOS_ONLY, evolve(_IMAGE, arch="i386"), evolve(_MACHINE, firmware=Firmware.BIOS)),
        (_UEFI_ONLY, evolve(_IMAGE, grub_signed=True), evolve(_MACHINE, secure_boot=True)),
        (_BOTH, _IMAGE, evolve(_MACHINE, firmware=Firmware.BIOS, efi_bits=32)),
        (_CRYPT, evolve(_IMAGE, opens_crypts=True), _MACHINE),
        (_CRYPT, _IMAGE, _MACHINE),  # sealed before this was asked
        (_CRYPT_ROOT, evolve(_IMAGE, opens_crypts=False), _MACHINE),  # the initramfs opens it
        (_UEFI_ONLY, evolve(_IMAGE, arch="arm64", grub_platforms=("arm64-efi",)), evolve(_MACHINE, arch="aarch64")),
    ],
)
def test_what_fits(layout: Layout, image: ImageFacts, machine: Inventory) -> None:
    check(layout, image, machine)


@pytest.mark.parametrize(
    ("layout", "image", "machine", "fault"),
    [
        (_BIOS_ONLY, _IMAGE, _MACHINE, "starts by UEFI and the layout has no partition of role esp"),
        (_UEFI_ONLY, _IMAGE, evolve(_MACHINE, firmware=Firmware.BIOS), "no partition of role bios_grub"),
        (evolve(_BOTH, boot=Boot(BootFirmware.BIOS)), _IMAGE, _MACHINE, "boot.firmware is bios, but"),
        (
            evolve(_BOTH, boot=Boot(BootFirmware.UEFI)), _IMAGE, evolve(_MACHINE, firmware=Firmware.BIOS),
            "boot.firmware is uefi, but",
        ),
        (_BOTH, evolve(_IMAGE, grub_platforms=("i386-pc",)), _MACHINE, "no GRUB for x86_64-efi (it has i386-pc"),
        (_BOTH, evolve(_IMAGE, grub_platforms=()), _MACHINE, "no GRUB for x86_64-efi (it has none"),
        (_BOTH, evolve(_IMAGE, kernels=()), _MACHINE, "the image has no kernel"),
        (_BOTH, _IMAGE, evolve(_MACHINE, arch="aarch64"), "the image is for x86_64, the machine is aarch64"),
        (_BOTH, evolve(_IMAGE, arch=""), _MACHINE, "the image is for an unknown processor"),
        (_BOTH, evolve(_IMAGE, arch="riscv64"), evolve(_MACHINE, arch="riscv64"), "no GRUB is known for uefi on"),
        (_BOTH, _IMAGE, evolve(_MACHINE, secure_boot=True), "Secure Boot is on and the image has no signed"),
        (_CRYPT, evolve(_IMAGE, opens_crypts=False), _MACHINE, "nothing in the image opens crypt0 when it starts"),
        (_BOTH, _IMAGE, evolve(_MACHINE, efi_bits=32), "firmware is of 32 bits and starts only boot loaders of 32"),
    ],
)  # fmt: skip
def test_what_does_not_fit(layout: Layout, image: ImageFacts, machine: Inventory, fault: str) -> None:
    with pytest.raises(CannotPlan) as caught:
        check(layout, image, machine)
    assert fault in caught.value.what


def test_every_reason_is_told_at_once() -> None:
    with pytest.raises(CannotPlan) as caught:
        check(_BIOS_ONLY, ImageFacts("aarch64"), _MACHINE)
    assert len(caught.value.what.splitlines()) == 4
