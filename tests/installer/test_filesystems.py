"""mkfs argv, and what check_device says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from attrs import define, field

from imaged.model.errors import ImagedError
from imaged.model.plan import CheckDevice, MakeFilesystem, MakeSwap
from imaged.model.stack import Filesystem
from installer.filesystems import check_device, make_filesystem, make_swap, mkfs
from installer.process import Completed

UUID = "0c7a1a5e-52b4-5ad2-8b0e-6f1f6f6d1a11"


@define
class Recorder:
    """Stands where Processes.run does."""

    output: str = ""
    events: list[tuple[str, ...]] = field(factory=list)
    configs: list[str] = field(factory=list)

    def run(
        self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None,
        timeout: float | None = None, check: bool = True,
    ) -> Completed:  # fmt: skip
        self.events.append(tuple(argv))
        self.configs += [Path(each.partition("=")[2]).read_text() for each in argv if each.startswith("MKE2FS_CONFIG=")]
        return Completed(tuple(argv), 0, self.output, "")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            MakeFilesystem("/dev/sda2", Filesystem.EXT4, UUID, "root"),
            ("mkfs.ext4", "-F", "-q", "-U", UUID, "-L", "root", "/dev/sda2"),
        ),
        (
            MakeFilesystem("/dev/nvme0n1p2", Filesystem.EXT4, UUID),
            ("mkfs.ext4", "-F", "-q", "-U", UUID, "/dev/nvme0n1p2"),
        ),
        (
            MakeFilesystem("/dev/mmcblk0p1", Filesystem.XFS, UUID, "data"),
            ("mkfs.xfs", "-f", "-q", "-m", f"uuid={UUID}", "-L", "data", "/dev/mmcblk0p1"),
        ),
        (
            MakeFilesystem("/dev/vda3", Filesystem.BTRFS, UUID, "b"),
            ("mkfs.btrfs", "-f", "-q", "-U", UUID, "-L", "b", "/dev/vda3"),
        ),
        (
            MakeFilesystem("/dev/vg/data", Filesystem.F2FS, UUID, "d", arguments=("-O", "extra_attr")),
            ("mkfs.f2fs", "-f", "-q", "-U", UUID, "-l", "d", "-O", "extra_attr", "/dev/vg/data"),
        ),
        (
            MakeFilesystem("/dev/vda1", Filesystem.VFAT, "1A2B-3C4D", "ESP"),
            ("mkfs.vfat", "-F", "32", "-i", "1A2B3C4D", "-n", "ESP", "/dev/vda1"),
        ),
    ],
)
def test_mkfs(step: MakeFilesystem, expected: tuple[str, ...]) -> None:
    recorder = Recorder()
    assert mkfs(step) == expected
    make_filesystem(step, recorder.run)
    assert recorder.events == [expected]


def test_ext4_features_follow_the_image() -> None:
    recorder = Recorder()
    make_filesystem(MakeFilesystem("/dev/sda1", Filesystem.EXT4, UUID, config="[defaults]\n"), recorder.run)
    assert recorder.configs == ["[defaults]\n"]
    assert recorder.events[0][2:] == ("mkfs.ext4", "-F", "-q", "-U", UUID, "/dev/sda1")


def test_swap() -> None:
    recorder = Recorder()
    make_swap(MakeSwap("/dev/sda3", UUID), recorder.run)
    assert recorder.events == [("mkswap", "-f", "-U", UUID, "/dev/sda3")]


def test_check_device() -> None:
    check_device(CheckDevice("/dev/sda1", "1a2b-3c4d"), Recorder("1A2B-3C4D\n").run)
    with pytest.raises(ImagedError, match=r"/dev/sda1: has the UUID \(none\)"):
        check_device(CheckDevice("/dev/sda1", UUID), Recorder("").run)
