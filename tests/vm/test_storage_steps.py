"""Every kind of storage by the agent's own steps, in a guest with the boot ramdisk: one boot, one scenario after
another, and what the tools of the trade say afterwards."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import installer
from imaged.model.boot import RAMDISK_DIR
from imaged.model.codec import from_plain, to_json
from imaged.model.hardware import Inventory
from imaged.model.plan import PlannedPartition
from imaged.model.settings import Settings
from imaged.model.size import GIB, MIB
from imaged.ramdisk import cpio
from imaged.ramdisk.agent import agent_files
from imaged.rehearsal.machine import Accel, Attachments, DiskOption, MachineSpec, argv, identity
from tests.vm.storage import scenarios
from tests.vm.storage.__main__ import Scenarios

pytestmark = pytest.mark.matrix

_HERE = Path(__file__).parent
_PATIENCE = 1500  # seconds for the whole boot where the guest is emulated
_HOME = "usr/lib/imaged-test"


@frozen
class Told:
    """What the guest told of one scenario."""

    lines: tuple[tuple[str, Any], ...]

    def of(self, what: str) -> Any:
        return next(value for key, value in self.lines if key == what)

    def output(self, *words: str, when: str = "after", nth: int = 0) -> str:
        """What the program printed whose command line begins with ``words``."""
        said = [value for key, value in self.lines if key == when and value["argv"].startswith(" ".join(words))]
        return str(said[nth]["output"])

    def code(self, *words: str, when: str = "after") -> int:
        return next(
            int(value["code"]) for key, value in self.lines if key == when and value["argv"].startswith(" ".join(words))
        )


def overlay(scenarios: Scenarios) -> bytes:
    """The agent as it is here and now, the scenarios, and the guest's side of this test: a third archive."""
    entries = [
        cpio.Entry.file("storage-init", (_HERE / "storage/init.sh").read_bytes(), 0o755),
        cpio.Entry.file("scenarios.json", to_json(scenarios).encode()),
        cpio.Entry.file(f"{_HOME}/storage/__main__.py", (_HERE / "storage/__main__.py").read_bytes()),
    ]
    agent = agent_files(Path(installer.__file__).parent, libraries=())
    entries += [cpio.Entry.file(f"{_HOME}/{name}", content) for name, content in agent.items()]
    return cpio.archive(entries)


@contextmanager
def tpm(scratch: Path) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """An emulated TPM 2; what QEMU must be told to plug it in, and the descriptors that it needs for that."""
    state = scratch / "tpm"
    state.mkdir()
    ours, its = socket.socketpair()
    with ours, its:
        command = (
            "setpriv", "--pdeathsig", "KILL", "--", "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
            "--ctrl", f"type=unixio,clientfd={its.fileno()}", "--flags", "startup-clear",
        )  # fmt: skip
        with subprocess.Popen(command, pass_fds=(its.fileno(),)) as chip:
            try:
                chardev = f"socket,id=tpm,fd={ours.fileno()}"
                device = ("-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0")
                yield ("-chardev", chardev, *device), (ours.fileno(),)
            finally:
                chip.kill()


@pytest.fixture(scope="module")
def told(site: Settings, accel: Accel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    """By scenario. The guest is killed with the test, whatever happens."""
    boot = Path(site.state) / "boot" / RAMDISK_DIR / "x86_64"
    if not (boot / "initrd.img").exists():
        pytest.skip("no boot ramdisk in the state directory")
    chip = shutil.which("swtpm") is not None
    wanted = Scenarios((*scenarios.ALL.all, scenarios.TPM)) if chip else scenarios.ALL
    scratch = tmp_path_factory.mktemp("storage", numbered=True)
    initrd, results, console = scratch / "initrd.img", scratch / "results", scratch / "console"
    shutil.copyfile(boot / "initrd.img", initrd)
    with initrd.open("ab") as out:
        out.write(bytes(-out.tell() % cpio.ALIGNMENT) + overlay(wanted))
    options = ("virtio,2G,serial=A", "virtio,2G,serial=B", "virtio,2G,serial=C", "nvme,2G,sector=4096,serial=D")
    disks = tuple(scratch / f"disk{number}" for number in range(len(options)))
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(scenarios.SIZE)
    spec = MachineSpec(disks=tuple(map(DiskOption.parse, options)), nics=(), memory=1536 * 2**20)
    where = Attachments(accel, (), tuple(map(str, disks)), str(console), str(scratch / "qmp"))
    command = (
        "setpriv", "--pdeathsig", "KILL", "--", *argv(spec, identity("storage", 0), where),
        "-chardev", f"file,id=results,path={results}", "-serial", "chardev:results", "-no-reboot",
        "-kernel", str(boot / "vmlinuz"), "-initrd", str(initrd), "-append",
        "rdinit=/storage-init console=ttyS0 quiet panic=-1",
    )  # fmt: skip
    try:
        with (
            tpm(scratch) if chip else nullcontext(((), ())) as (plugged, descriptors),
            suppress(subprocess.TimeoutExpired),
        ):
            subprocess.run(
                (*command, *plugged), check=False, capture_output=True, timeout=_PATIENCE, pass_fds=descriptors
            )
        lines = results.read_text(errors="replace").splitlines() if results.exists() else []
        end = console.read_text(errors="replace")[-4000:]
    finally:
        for disk in disks:
            disk.unlink()
        initrd.unlink()
    assert lines, f"the guest told nothing:\n{end}"
    found: dict[str, list[tuple[str, Any]]] = {}
    for line in lines:
        if line.startswith("["):
            name, what, value = json.loads(line)
            found.setdefault(name, []).append((what, value))
    assert lines[-1] == "end", f"it ended early: {lines[-3:]}\n{end}"
    yield {name: Told(tuple(each)) for name, each in found.items()}


def table(told: Told, device: str) -> dict[int, dict[str, Any]]:
    """Partitions as sfdisk sees them, by number."""
    prefix = f"{device}p" if device[-1].isdigit() else device
    found = json.loads(told.output("sfdisk", "--json", device))["partitiontable"]
    return {int(each["node"].removeprefix(prefix)): each for each in found["partitions"]}


def places(told: Told, device: str, sector: int = 512) -> dict[int, tuple[int, int]]:
    return {number: (each["start"] * sector, each["size"] * sector) for number, each in table(told, device).items()}


def of_plan(partitions: tuple[PlannedPartition, ...]) -> dict[int, tuple[int, int]]:
    return {each.number: (each.start, each.size) for each in partitions}


def test_no_key_is_in_the_log(told: dict[str, Told]) -> None:
    assert [name for name, each in told.items() if each.of("leaks")] == []


def test_tables(told: dict[str, Told]) -> None:
    stack = told["stack"]
    assert places(stack, "/dev/vda") == of_plan(scenarios.MIRRORED)
    assert places(stack, "/dev/nvme0n1", 4096) == of_plan(scenarios.LARGE_SECTORS)
    assert table(stack, "/dev/vda")[4]["type"] == "A19D880F-05FC-4D3B-A006-743F0F84911E"
    assert [each["type"] for each in table(stack, "/dev/vdc").values()] == [
        "CA7D7CCB-63ED-4C53-861C-1742536059CC",
        "BC13C2FF-59E6-4262-A352-B275FD6F7172",
    ]


def test_arrays_have_identity_bitmap_and_time(told: dict[str, Told]) -> None:
    stack = told["stack"]
    for name, metadata, uuid in (("root", "1.2", scenarios.MD_ROOT), ("boot", "1.0", scenarios.MD_BOOT)):
        said = stack.output("mdadm", "--detail", "--export", f"/dev/md/{name}").splitlines()
        wanted = {
            "MD_LEVEL=raid1",
            f"MD_METADATA={metadata}",
            f"MD_UUID={uuid}",
            f"MD_DEVNAME={name}",
            f"MD_NAME=any:{name}",
        }
        assert wanted <= set(said)
    assert stack.output("cat", "/proc/mdstat").count("bitmap:") == 2
    assert stack.output("cat", "/proc/sys/dev/raid/speed_limit_max") == "10000\n"


def test_volumes(told: dict[str, Told]) -> None:
    rows = [line.split() for line in told["stack"].output("lvm", "lvs").splitlines()]
    assert rows == [
        ["pool", f"{300 * MIB}B", "thin-pool"],
        ["root", f"{400 * MIB}B", "linear"],
        ["swap", f"{64 * MIB}B", "linear"],
        ["thin", f"{GIB}B", "thin", "pool"],
        ["var", f"{200 * MIB}B", "linear"],
    ]


def test_luks(told: dict[str, Told]) -> None:
    said = told["stack"].output("cryptsetup", "luksDump")
    assert "Version:       \t2" in said
    assert scenarios.uuid(1) in said
    assert "PBKDF:      argon2id" in said
    assert told["stack"].code("systemd-cryptenroll", "/dev/vdc1") == 0, "its libraries are all there"


def test_btrfs_subvolumes_and_what_is_not_copied_on_write(told: dict[str, Told]) -> None:
    stack = told["stack"]
    assert [line.split(" path ")[1] for line in stack.output("btrfs", "subvolume", "list").splitlines()] == [
        "@/.snapshots/1/snapshot",
        "@/var",
    ]
    assert stack.output("btrfs", "subvolume", "get-default").endswith("path @/.snapshots/1/snapshot\n")
    assert [stack.output("python3", nth=nth) for nth in range(4)] == ["True\n", "True\n", "True\n", "False\n"]


def test_swap_files_are_whole_and_swapped_to(told: dict[str, Told]) -> None:
    stack = told["stack"]
    assert [line.split()[0] for line in stack.output("cat", "/proc/swaps").splitlines()[1:]] == [
        "/target/swap/file",
        "/target/thin/file",
    ]
    assert stack.output("stat", "-c") == f"600 {64 * MIB} {64 * MIB // 512}\n"
    assert told["tall"].code("swapon", "/target/swapfile") == 0, "f2fs too"


def test_the_other_esp_is_a_copy(told: dict[str, Told]) -> None:
    assert told["stack"].output("cat", "/mnt/EFI/debian/grub.cfg") == "stub\n"


def test_arguments_of_the_layout_reach_mkfs(told: dict[str, Told]) -> None:
    features = next(
        line for line in told["stack"].output("dumpe2fs").splitlines() if line.startswith("Filesystem feat")
    )
    assert "metadata_csum" not in features


def test_inventory(told: dict[str, Told]) -> None:
    found = from_plain(told["found"].of("inventory"), Inventory)
    assert {(disk.path, disk.table, len(disk.partitions)) for disk in found.disks} == {
        ("/dev/vda", "gpt", 5), ("/dev/vdb", "gpt", 5), ("/dev/vdc", "gpt", 2), ("/dev/nvme0n1", "gpt", 3),
    }  # fmt: skip
    nvme = next(disk for disk in found.disks if disk.path == "/dev/nvme0n1")
    assert {each.number: (each.start, each.size) for each in nvme.partitions} == of_plan(scenarios.LARGE_SECTORS)
    assert [(each.name, each.holds, each.uuid, each.label) for each in nvme.partitions] == [
        ("esp", "vfat", "1A2B-3C4F", "ESP4K"),
        ("root", "xfs", scenarios.uuid(17), "root4k"),
        ("swap", "swap", scenarios.uuid(18), ""),
    ]
    assert [(each.name, each.uuid, each.level, each.metadata, each.holds, each.devices) for each in found.arrays] == [
        ("boot", scenarios.MD_BOOT, 1, "1.0", "ext4", ("/dev/vda3", "/dev/vdb3")),
        ("root", scenarios.MD_ROOT, 1, "1.2", "LVM2_member", ("/dev/vda4", "/dev/vdb4")),
    ]
    (group,) = found.groups
    assert (group.name, group.devices, group.extent) == ("vg0", ("/dev/md/root",), 4 * MIB)
    assert {each.name: (each.size, each.holds, each.uuid) for each in group.volumes if each.holds} == {
        "root": (400 * MIB, "xfs", scenarios.uuid(12)),
        "var": (200 * MIB, "ext4", scenarios.uuid(13)),
        "swap": (64 * MIB, "swap", scenarios.uuid(19)),
    }


def test_looking_changes_nothing_and_leaves_nothing_running(told: dict[str, Told]) -> None:
    first, second = told["found"], told["found again"]
    for disk in ("vdc", "nvme0n1"):
        was, now = (each.output("cat", f"/sys/block/{disk}/stat").split() for each in (first, second))
        assert now[4] == was[4], "writes, Documentation/block/stat.rst"
        assert int(now[0]) > int(was[0]), "it was looked at"
    # Starting and stopping an array, the kernel writes the header of its bitmap again: with what it held.
    sums = [[each.output("python3", nth=nth) for nth in range(4)] for each in (first, second)]
    assert sums[0] == sums[1]
    assert len(set(sums[0])) == 4
    for nth in (0, 1):  # the second after udev has seen all disks again, as if they had just been plugged in
        assert told["found"].output("cat", "/proc/mdstat", nth=nth).splitlines()[1:] == ["unused devices: <none>"]
        assert told["found"].output("dmsetup", "ls", nth=nth) == "No devices found\n"


def test_what_is_kept_is_kept(told: dict[str, Told]) -> None:
    """That every file is still there was checked by the scenario's own steps."""
    keep = told["keep"]
    assert places(keep, "/dev/vda") == of_plan(scenarios.MIRRORED[:4])
    assert set(table(keep, "/dev/vdb")) == {1, 3, 4}
    for device, numbers in (("/dev/vda", (3, 4)), ("/dev/vdc", (1,))):
        for number in numbers:
            assert table(keep, device)[number] == table(told["stack"], device)[number]
    for device in ("/dev/vda2", "/dev/vdc2"):
        assert " TYPE=" not in keep.output("blkid", "-p", device), "what was not kept is gone"
    assert [line.split()[:2] for line in keep.output("lvm", "lvs").splitlines()][-1] == ["var", f"{100 * MIB}B"]


def test_refusals_leave_nothing_behind(told: dict[str, Told]) -> None:
    assert "none" not in told["another"].output("ls", "/dev/md").split()


def test_raid5_with_a_spare_on_whole_disks_carries_luks_and_lvm(told: dict[str, Told]) -> None:
    tall = told["tall"]
    said = tall.output("mdadm", "--detail", "--export").splitlines()
    assert {"MD_LEVEL=raid5", f"MD_UUID={scenarios.MD_DATA}", "MD_DEVICES=3"} <= set(said)
    assert "nvme0n1[3](S)" in tall.output("cat", "/proc/mdstat")
    found = from_plain(told["tall found"].of("inventory"), Inventory)
    assert [(each.name, each.level, each.holds, len(each.devices)) for each in found.arrays] == [
        ("data", 5, "crypto_LUKS", 4)
    ]
    assert found.groups == (), "it is behind a lock"
    assert told["tall found"].output("dmsetup", "ls") == "No devices found\n"


def test_old_signatures_are_gone_wherever_they_were(told: dict[str, Told]) -> None:
    old = told["old"]
    before = old.output("lsblk", when="before")
    for each in ("oldvg-lv", "linux_raid_member", "raid1", "md126p1"):
        assert each in before, "else nothing is proved"
    assert 'TYPE="zfs_member"' in old.output("blkid", "-p", "/dev/nvme0n1p1", when="before")
    assert old.output("cat", "/proc/mdstat").splitlines()[1:] == ["unused devices: <none>"]
    assert old.output("dmsetup", "ls") == "No devices found\n"
    for disk in ("vda", "vdb", "vdc", "nvme0n1"):
        assert old.output("wipefs", "--noheadings", f"/dev/{disk}") == ""
        assert old.output("blkid", "-p", f"/dev/{disk}") == ""
        assert old.code("mdadm", "--examine", f"/dev/{disk}") != 0


def test_logical_partitions(told: dict[str, Told]) -> None:
    mbr = places(told["mbr"], "/dev/vda")
    assert {number: place for number, place in mbr.items() if number != 2} == of_plan(scenarios.LOGICAL)
    assert [each["type"] for each in table(told["mbr"], "/dev/vda").values()][2:] == ["83", "8e", "e8"]
    kept = places(told["mbr keep"], "/dev/vda")
    assert kept[5] == mbr[5]
    end = scenarios.NEW_LOGICAL.start + scenarios.NEW_LOGICAL.size
    assert kept[2] == (mbr[2][0], end - mbr[2][0]), "it begins where it did"
    assert kept[6] == (scenarios.NEW_LOGICAL.start, scenarios.NEW_LOGICAL.size)


def test_a_key_is_sealed_in_the_tpm(told: dict[str, Told]) -> None:
    if "tpm" not in told:
        pytest.skip("swtpm is not installed")
    assert told["tpm"].of("inventory")["tpm2"] is True
    rows = [line.split() for line in told["tpm"].output("systemd-cryptenroll").splitlines()]
    assert rows == [["SLOT", "TYPE"], ["0", "password"], ["1", "tpm2"]]
