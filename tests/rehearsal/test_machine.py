"""The disk option, machines' identities, and QEMU's command line, as tables."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.hardware import Firmware
from imaged.model.size import GIB, MIB
from imaged.qemu.options import Accel
from imaged.rehearsal.machine import (
    Attachments,
    DiskBus,
    DiskOption,
    MachineSpec,
    NicModel,
    Way,
    argv,
    identity,
)

DISKS = [
    ("virtio,8G", DiskOption(DiskBus.VIRTIO, 8 * GIB)),
    ("sata,512M", DiskOption(DiskBus.SATA, 512 * MIB)),
    ("nvme,1.5G,sector=4096", DiskOption(DiskBus.NVME, 3 * GIB // 2, 4096)),
    ("scsi,20GB,serial=A-1_x.2", DiskOption(DiskBus.SCSI, 20 * 10**9, 512, "A-1_x.2")),
    ("usb,1048576,serial=Z,sector=512", DiskOption(DiskBus.USB, MIB, 512, "Z")),
    ("virtio,64T,sector=4096", DiskOption(DiskBus.VIRTIO, 64 * 2**40, 4096)),
]

BAD_DISKS = [
    ("", "a bus and a size"),
    ("virtio", "a bus and a size"),
    ("8G", "a bus and a size"),
    ("ide,8G", "'ide' is not one of virtio, sata"),
    ("VIRTIO,8G", "'VIRTIO' is not one of"),
    (" virtio,8G", "is not one of"),
    ("virtio,", "is not a size"),
    ("virtio,-8G", "is not a size"),
    ("virtio,8Q", "is not a size"),
    ("virtio,\u0668G", "is not a size"),
    ("virtio,1e9", "is not a size"),
    ("virtio,0", "is not 1 MiB to 64 TiB"),
    ("virtio,65T", "is not 1 MiB to 64 TiB"),
    ("virtio,999999999999999T", "is not 1 MiB to 64 TiB"),
    ("virtio,1048577", "whole sectors"),
    ("virtio,1049088,sector=4096", "whole sectors"),
    ("virtio,8G,sector=1024", "512 or 4096"),
    ("virtio,8G,sector=", "is not a sector size"),
    ("virtio,8G,sector=4k", "is not a sector size"),
    ("virtio,8G,sector=" + "9" * 5000, "is not a sector size"),
    ("sata,8G,sector=4096", "512 bytes only"),
    ("virtio,8G,serial=", "is not a serial number"),
    ("virtio,8G,serial=a b", "is not a serial number"),
    ("virtio,8G,serial=" + "x" * 21, "is not a serial number"),
    ("virtio,8G,serial=a\n", "is not a serial number"),
    ("virtio,8G,serial=a,serial=b", "serial is there twice"),
    ("virtio,8G,file=/etc/passwd", "'file=/etc/passwd' is not sector="),
    ("virtio,8G,,", "'' is not sector="),
    ("virtio,8G,sector", "'sector' is not sector="),
]


@pytest.mark.parametrize(("text", "expected"), DISKS)
def test_disk_option(text: str, expected: DiskOption) -> None:
    assert DiskOption.parse(text) == expected


@pytest.mark.parametrize(("text", "what"), BAD_DISKS)
def test_bad_disk_option_names_the_fault(text: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        DiskOption.parse(text)
    assert what in caught.value.what
    assert caught.value.where.startswith("--disk")
    assert len(caught.value.where) < 120


@given(
    st.one_of(st.text(), st.lists(st.sampled_from(["virtio", "8G", "sector=", "serial=", "4096", ","])).map("".join))
)
def test_disk_option_is_total(text: str) -> None:
    try:
        option = DiskOption.parse(text)
    except BadInput:
        return
    assert "," not in option.serial
    assert option.size % option.sector == 0


WHERE = Attachments(
    accel=Accel.TCG, taps=("tap0",), disks=("/s/disk0.img",), console="/l/c.log", qmp="/s/qmp", code="/f/code",
    variables="/s/vars",
)  # fmt: skip
SPEC = MachineSpec()
WHO = identity("node01", 1)
NO_TCG = evolve(WHERE, accel=Accel.KVM)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"way": Way.HTTP}, "a BIOS knows neither"),
        ({"secure_boot": True}, "a BIOS knows neither"),
        ({"firmware": Firmware.UEFI, "way": Way.HTTP, "nics": (NicModel.E1000,)}, "OVMF drives virtio only"),
        ({"arch": "riscv64"}, "there is no machine for 'riscv64'"),
        ({"arch": "aarch64"}, "an ARM machine has no BIOS"),
        (
            {"arch": "aarch64", "firmware": Firmware.UEFI, "disks": (DiskOption.parse("sata,8G"),)},
            "QEMU's ARM machine has no SATA ports",
        ),
    ],
)
def test_machines_that_there_are_not(given: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=what):
        MachineSpec(**given)


def one_disk(text: str) -> MachineSpec:
    return MachineSpec(disks=(DiskOption.parse(text),))


def uefi(*nics: NicModel) -> MachineSpec:
    return MachineSpec(firmware=Firmware.UEFI, nics=nics or (NicModel.VIRTIO,))


MAC = str(WHO.macs[0])
MEDIUM = evolve(WHERE, medium="/s/m.iso")
PICKED = evolve(MEDIUM, medium_first=True)
SECURE = evolve(uefi(), secure_boot=True)
ARM = evolve(uefi(), arch="aarch64")
DISK_END = f"drive=disk0,serial={WHO.serial}-0,logical_block_size=512,physical_block_size=512,bootindex=2"
CONTAINS = [
    (SPEC, WHERE, ("-accel", "tcg,thread=multi")),
    (SPEC, NO_TCG, ("-accel", "kvm", "-cpu", "host")),
    (SPEC, WHERE, ("-machine", "q35,graphics=off")),
    (SPEC, WHERE, ("-smp", "2", "-m", "2048")),
    (SPEC, WHERE, ("-chardev", "file,id=console,path=/l/c.log,append=on", "-serial", "chardev:console")),
    (SPEC, WHERE, ("-qmp", "unix:/s/qmp,server=on,wait=off")),
    (SPEC, WHERE, ("-device", "virtio-rng-pci")),
    (SPEC, WHERE, ("-netdev", "tap,id=net0,ifname=tap0,script=no,downscript=no")),
    (SPEC, WHERE, ("-device", f"virtio-net-pci,netdev=net0,mac={MAC},bootindex=1")),
    (SPEC, WHERE, ("-drive", "if=none,id=disk0,file=/s/disk0.img,format=raw,cache=unsafe,discard=unmap")),
    (SPEC, WHERE, ("-device", f"virtio-blk-pci,{DISK_END}")),
    (one_disk("sata,8G"), WHERE, ("-device", f"ide-hd,bus=ide.0,{DISK_END}")),
    (one_disk("nvme,8G"), WHERE, ("-device", f"nvme,{DISK_END}")),
    (one_disk("scsi,8G"), WHERE, ("-device", "virtio-scsi-pci,id=scsi")),
    (one_disk("scsi,8G"), WHERE, ("-device", f"scsi-hd,bus=scsi.0,{DISK_END}")),
    (MachineSpec(way=Way.CD), MEDIUM, ("-device", f"virtio-net-pci,netdev=net0,mac={MAC},romfile=")),
    (MachineSpec(way=Way.CD), MEDIUM, ("-drive", "if=none,id=medium,file=/s/m.iso,format=raw,readonly=on")),
    (MachineSpec(way=Way.CD), MEDIUM, ("-device", "scsi-cd,bus=cd.0,id=boot-medium,drive=medium,bootindex=3")),
    (MachineSpec(way=Way.USB), MEDIUM, ("-device", "usb-storage,bus=stick.0,id=boot-medium,drive=medium,bootindex=3")),
    (MachineSpec(way=Way.USB), PICKED, ("-device", "usb-storage,bus=stick.0,id=boot-medium,drive=medium,bootindex=1")),
    (SECURE, WHERE, ("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")),
    (evolve(uefi(), way=Way.HTTP), WHERE, ("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")),
    (one_disk("usb,8G"), WHERE, ("-device", "qemu-xhci,id=usb")),
    (one_disk("usb,8G"), WHERE, ("-device", f"usb-storage,bus=usb.0,{DISK_END}")),
    (
        one_disk("nvme,8G,sector=4096,serial=A1"),
        WHERE,
        ("-device", "nvme,drive=disk0,serial=A1,logical_block_size=4096,physical_block_size=4096,bootindex=2"),
    ),
    (MachineSpec(nics=(NicModel.E1000,)), WHERE, ("-device", f"e1000,netdev=net0,mac={MAC},bootindex=1")),
    (MachineSpec(nics=(NicModel.E1000E,)), WHERE, ("-device", f"e1000e,netdev=net0,mac={MAC},bootindex=1")),
    (uefi(), WHERE, ("-machine", "q35")),
    (ARM, WHERE, ("qemu-system-aarch64", "-name", "node01")),
    (ARM, WHERE, ("-accel", "tcg,thread=multi", "-cpu", "cortex-a72")),
    (ARM, WHERE, ("-machine", "virt,gic-version=max")),
    (ARM, WHERE, ("-device", f"virtio-net-pci,netdev=net0,mac={MAC},bootindex=1,romfile=")),
    (uefi(), WHERE, ("-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/f/code")),
    (uefi(), WHERE, ("-drive", "if=pflash,unit=1,format=raw,file=/s/vars")),
    # The firmware's own PXE where it has a driver, the card's iPXE where it has none.
    (uefi(), WHERE, ("-device", f"virtio-net-pci,netdev=net0,mac={MAC},bootindex=1,romfile=")),
    (uefi(NicModel.E1000), WHERE, ("-device", f"e1000,netdev=net0,mac={MAC},bootindex=1")),
    (evolve(SPEC, memory=512 * MIB, cpus=1), WHERE, ("-smp", "1", "-m", "512")),
    # A path may have commas, QEMU's own separator.
    (SPEC, evolve(WHERE, console="/l/a,b", qmp="/q,x"), ("file,id=console,path=/l/a,,b,append=on",)),
    (SPEC, evolve(WHERE, console="/l/a,b", qmp="/q,x"), ("unix:/q,,x,server=on,wait=off",)),
    (
        SPEC,
        evolve(WHERE, disks=("/a,readonly=on",)),
        ("if=none,id=disk0,file=/a,,readonly=on,format=raw,cache=unsafe,discard=unmap",),
    ),
]


@pytest.mark.parametrize(("spec", "where", "words"), CONTAINS)
def test_argv_contains(spec: MachineSpec, where: Attachments, words: tuple[str, ...]) -> None:
    whole = argv(spec, WHO, where)
    assert any(whole[at : at + len(words)] == words for at in range(len(whole))), whole


def test_bios_has_no_flash() -> None:
    assert not any("pflash" in word for word in argv(SPEC, WHO, WHERE))


def test_network_boots_first_then_the_disks_in_order() -> None:
    spec = MachineSpec(
        disks=tuple(DiskOption.parse(text) for text in ("sata,1G", "virtio,1G", "sata,2G")),
        nics=(NicModel.VIRTIO, NicModel.E1000),
    )
    where = evolve(WHERE, taps=("tap0", "tap1"), disks=("/0", "/1", "/2"))
    devices = [word for word in argv(spec, identity("n", 2), where) if "bootindex" in word]
    assert [word.rpartition("=")[2] for word in devices] == ["1", "2", "3", "4"]
    assert [word.split(",drive")[0] for word in devices[1:]] == [
        "ide-hd,bus=ide.0",
        "virtio-blk-pci",
        "ide-hd,bus=ide.1",
    ]


def test_one_controller_for_all_scsi_disks() -> None:
    spec = MachineSpec(disks=(DiskOption.parse("scsi,1G"), DiskOption.parse("scsi,1G")))
    whole = argv(spec, WHO, evolve(WHERE, disks=("/0", "/1")))
    assert sum(word.startswith("virtio-scsi-pci") for word in whole) == 1


def test_more_sata_disks_than_ports() -> None:
    spec = MachineSpec(disks=(DiskOption.parse("sata,1G"),) * 7)
    with pytest.raises(BadInput, match="7 SATA disks"):
        argv(spec, WHO, evolve(WHERE, disks=tuple(map(str, range(7)))))


def test_a_name_is_always_the_same_machine_and_never_another() -> None:
    assert identity("node01", 2) == identity("node01", 2)
    ids = [identity(f"node{number:03d}", 2) for number in range(500)]
    assert len({who.uuid for who in ids}) == len({who.serial for who in ids}) == 500
    assert len({mac for who in ids for mac in who.macs}) == 1000
