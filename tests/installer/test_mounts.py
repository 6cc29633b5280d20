"""Mount commands and the order of unmounting."""

from pathlib import Path

from imaged.model.plan import Mount
from imaged.model.stack import Filesystem
from installer.mounts import argv, below

MOUNTINFO = """\
21 1 0:20 / / rw - rootfs rootfs rw
22 21 0:5 / /dev rw - devtmpfs devtmpfs rw
40 21 8:3 / /target rw - ext4 /dev/sda3 rw
41 40 8:2 / /target/boot rw - ext4 /dev/sda2 rw
42 41 8:1 / /target/boot/efi rw - vfat /dev/sda1 rw
43 40 8:4 / /target/srv/two\\040words rw - xfs /dev/sda4 rw
44 40 0:5 / /target/dev rw - devtmpfs devtmpfs rw
45 44 0:9 / /target/dev rw - tmpfs over rw
46 21 8:9 / /target2 rw - ext4 /dev/sdb1 rw
"""


def test_argv() -> None:
    step = Mount("/dev/nvme0n1p3", Filesystem.EXT4, "/srv", "noatime,nodev")
    expected = ("mount", "-t", "ext4", "-o", "noatime,nodev", "/dev/nvme0n1p3", "/target/srv")
    assert argv(step, Path("/target/srv")) == expected
    bare = Mount("/dev/sda1", Filesystem.XFS, "/")
    assert argv(bare, Path("/target")) == ("mount", "-t", "xfs", "/dev/sda1", "/target")


def test_deepest_first_and_only_ours() -> None:
    order = below(MOUNTINFO, Path("/target"))
    assert order[-1] == "/target"
    assert sorted(order) == sorted([
        "/target", "/target/boot", "/target/boot/efi", "/target/srv/two words", "/target/dev", "/target/dev",
    ])  # fmt: skip
    assert order.index("/target/boot/efi") < order.index("/target/boot")
