"""What mdadm, cryptsetup, lvm and btrfs are told, and that keys are never in a command line."""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from attrs import define, field

from imaged.model.errors import CommandFailed, Conflict
from imaged.model.plan import (
    MakeArray,
    MakeCrypt,
    MakeGroup,
    MakeVolume,
    OpenCrypt,
    StartArray,
    StartGroup,
)
from imaged.model.size import GIB, MIB
from installer.arrays import create, start_array
from installer.crypts import Keys, luks_format, make_crypt, open_crypt
from installer.groups import create_group, create_volume, start_group
from installer.process import Completed

UUID = "0c7a1a5e-52b4-5ad2-8b0e-6f1f6f6d1a11"
MD = "0c7a1a5e:52b45ad2:8b0e6f1f:6f6d1a11"
KEY = "bm90IGEga2V5IGJ1dCBhcyBsb25nIGFzIG9uZSEhIQ=="


@define
class Recorder:
    """Stands where Processes.run does; ``output`` and failures by the words of a command that begin it."""

    output: Mapping[tuple[str, ...], str] = field(factory=dict)
    fails: tuple[str, ...] = ("never",)
    events: list[tuple[str, ...]] = field(factory=list)
    secrets: list[str] = field(factory=list)

    def run(
        self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None,
        timeout: float | None = None, check: bool = True,
    ) -> Completed:  # fmt: skip
        self.events.append(tuple(argv))
        self.secrets.append(stdin or (env or {}).get("PASSWORD", ""))
        if tuple(argv)[: len(self.fails)] == self.fails:
            raise CommandFailed("ended with 1", hint="said so")
        said = next((text for words, text in self.output.items() if tuple(argv)[: len(words)] == words), "")
        return Completed(tuple(argv), 0, said, "")

    def programs(self) -> list[str]:
        return [" ".join(event[:2]) for event in self.events]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            MakeArray("/dev/md/root", 1, "1.2", MD, ("/dev/sda2", "/dev/sdb2")),
            f"mdadm --create /dev/md/root --run --name=root --homehost=any --uuid={MD} --metadata=1.2 --level=1 "
            "--bitmap=internal --raid-devices=2 /dev/sda2 /dev/sdb2",
        ),
        (
            MakeArray("/dev/md/d", 5, "1.2", MD, ("/dev/sda", "/dev/sdb", "/dev/sdc"), ("/dev/sdd",)),
            f"mdadm --create /dev/md/d --run --name=d --homehost=any --uuid={MD} --metadata=1.2 --level=5 "
            "--bitmap=internal --raid-devices=3 --spare-devices=1 /dev/sda /dev/sdb /dev/sdc /dev/sdd",
        ),
        (
            MakeArray("/dev/md/s", 0, "1.0", MD, ("/dev/sda", "/dev/sdb")),
            f"mdadm --create /dev/md/s --run --name=s --homehost=any --uuid={MD} --metadata=1.0 --level=0 "
            "--raid-devices=2 /dev/sda /dev/sdb",
        ),
        (
            MakeArray("/dev/md/one", 1, "1.2", MD, ("/dev/sda",)),
            f"mdadm --create /dev/md/one --run --force --name=one --homehost=any --uuid={MD} --metadata=1.2 --level=1 "
            "--bitmap=internal --raid-devices=1 /dev/sda",
        ),
    ],
)
def test_create(step: MakeArray, expected: str) -> None:
    assert " ".join(create(step)) == expected


def test_an_array_that_does_not_start_holds_nothing_afterwards() -> None:
    recorder = Recorder(fails=("mdadm", "--assemble"))
    with pytest.raises(Conflict, match="did not start\n  said so"):
        start_array(StartArray("/dev/md/data", MD), recorder.run)
    assert recorder.programs() == ["mdadm --assemble", "mdadm --stop"]


@pytest.mark.parametrize(
    ("memory", "expected"), [(512 * MIB, 256 * 1024), (2 * GIB, 1024 * 1024), (512 * GIB, 1024 * 1024)]
)
def test_argon2_takes_half_of_the_memory_at_most(memory: int, expected: int) -> None:
    argv = luks_format(MakeCrypt("/dev/sda3", "crypt0", UUID), memory)
    assert argv[argv.index("--pbkdf-memory") + 1] == str(expected)


def test_the_key_is_never_in_a_command_line(tmp_path: Path) -> None:
    recorder, asked = Recorder({("cryptsetup", "luksUUID"): f"{UUID.upper()}\n"}), list[str]()

    def ask(name: str) -> str:
        asked.append(name)
        return KEY

    keys = Keys(ask)
    make_crypt(MakeCrypt("/dev/sda3", "crypt0", UUID, tpm2=True, keyfile="/etc/k/crypt0"), keys, GIB, recorder.run)
    open_crypt(OpenCrypt("/dev/sda3", "crypt0", UUID), keys, recorder.run)
    assert recorder.programs() == [
        "cryptsetup luksFormat", "systemd-cryptenroll --tpm2-device=auto", "cryptsetup open", "udevadm wait",
        "cryptsetup luksUUID", "cryptsetup open", "udevadm wait",
    ]  # fmt: skip
    assert recorder.secrets == [KEY, KEY, KEY, "", "", KEY, ""]
    assert KEY not in repr(recorder.events)
    assert asked == ["crypt0"]
    keys.leave(tmp_path)
    left = tmp_path / "etc/k/crypt0"
    assert (left.read_text(), stat.S_IMODE(left.stat().st_mode)) == (KEY, 0o400)


def test_another_encrypted_device_is_refused_before_the_key_is_asked_for() -> None:
    recorder = Recorder({("cryptsetup", "luksUUID"): "another\n"})

    def never(_: str) -> str:
        raise AssertionError("asked")

    with pytest.raises(Conflict, match="another"):
        open_crypt(OpenCrypt("/dev/sda3", "crypt0", UUID), Keys(never), recorder.run)


def without_config(argv: Sequence[str]) -> str:
    assert argv[2] == "--config"
    assert "use_devicesfile=0" in argv[3]
    return " ".join((*argv[:2], *argv[4:]))


def test_create_group() -> None:
    step = MakeGroup("vg0", ("/dev/md/a", "/dev/mapper/c"), 4 * MIB)
    assert [without_config(argv) for argv in create_group(step)] == [
        "lvm pvcreate --yes /dev/md/a /dev/mapper/c",
        "lvm vgcreate --yes --physicalextentsize 4194304b vg0 /dev/md/a /dev/mapper/c",
    ]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            MakeVolume("vg0", "root", GIB),
            "lvcreate --yes --wipesignatures y --zero y --type linear --size 1073741824b --name root vg0",
        ),
        (MakeVolume("vg0", "p", GIB, thin=True), "lvcreate --yes --type thin-pool --size 1073741824b --name p vg0"),
        (
            MakeVolume("vg0", "p", GIB, thin=True, metadata=4 * MIB),
            "lvcreate --yes --type thin-pool --size 1073741824b --poolmetadatasize 4194304b --name p vg0",
        ),
        (
            MakeVolume("vg0", "t", GIB, pool="p"),
            "lvcreate --yes --type thin --virtualsize 1073741824b --thinpool p --name t vg0",
        ),
    ],
)
def test_create_volume(step: MakeVolume, expected: str) -> None:
    assert without_config(create_volume(step)) == f"lvm {expected}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"  {UUID}|\n", ["lvm vgs", "lvm vgchange", "lvm lvremove", "udevadm settle"]),
        (f"  {UUID}|golden\n", ["lvm vgs", "lvm vgchange", "lvm vgchange", "lvm lvremove", "udevadm settle"]),
        ("  another|\n", None),
        ("", None),
    ],
)
def test_start_group(said: str, expected: list[str] | None) -> None:
    recorder, step = Recorder({("lvm", "vgs"): said}), StartGroup("vgdata", UUID, ("scratch",))
    if expected is None:
        with pytest.raises(Conflict, match="is not the volume group of the plan"):
            start_group(step, recorder.run)
        return
    start_group(step, recorder.run)
    assert recorder.programs() == expected
    assert recorder.events[-2][-1] == "vgdata/scratch"
    assert ('local{system_id="golden"}' in repr(recorder.events)) == ("golden" in said)
