"""What is in an initramfs, told by the image's own program in its own tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installer.initrd import modules
from tests.installer.test_chroot import needs_root, root

__all__ = ["root"]  # a fixture

LISTED = """\
usr/lib/modules/6.1.0-1-amd64/kernel/drivers/nvme/host/nvme.ko
-rw-r--r--   1 root     root       20000 Jan  1  1970 usr/lib/modules/6.1/kernel/drivers/md/dm-mod.ko.xz
lrwxrwxrwx   1 root     root          10 Jan  1  1970 lib -> usr/lib
usr/lib/modules/6.1/kernel/fs/xfs/xfs.ko.zst
usr/lib/modules/6.1/modules.dep
"""
_INSIDE = """
import sys
from pathlib import Path
from imaged.model.errors import ImagedError
from imaged.model.plan import CheckInitrd
from installer.initrd import check_initrd
from installer.process import Processes
step = CheckInitrd("/boot/i", "6.1", "lister", (("nvme",), ("virtio_blk", "ext4"), ("dm_mod",)), "it would not start")
try:
    check_initrd(step, Path(sys.argv[1]), Processes(lambda _: None).run)
except ImagedError as error:
    print(error)
"""


def test_names_of_modules() -> None:
    assert modules(LISTED) == {"nvme", "dm_mod", "xfs"}
    assert modules("kernel/fs/ext4/ext4.ko\n") == {"ext4"} and modules("") == set()


@needs_root
@pytest.mark.parametrize(
    ("listed", "builtin", "said"),
    [
        ("a/nvme.ko b/ext4.ko.xz c/dm-mod.ko", "", ""),
        ("a/nvme.ko b/virtio_blk.ko", "kernel/drivers/md/dm-mod.ko\n", ""),
        ("a/nvme.ko", "", "/boot/i: has no virtio_blk or ext4, no dm_mod\n  it would not start\n"),
    ],
)
def test_what_the_root_needs_is_in_it_or_in_the_kernel(root: Path, listed: str, builtin: str, said: str) -> None:
    lister = root / "bin/lister"
    lister.write_text(f"#!/bin/sh\ntest $1 = /boot/i && echo {listed}\n")
    lister.chmod(0o755)
    if builtin:
        (root / "usr/lib/modules/6.1").mkdir(parents=True)
        (root / "usr/lib/modules/6.1/modules.builtin").write_text(builtin)
        if not (root / "lib").exists():
            (root / "lib").symlink_to("usr/lib")
        elif not (root / "lib").is_symlink():
            shutil.copytree(root / "usr/lib/modules", root / "lib/modules")
    done = subprocess.run(
        ("unshare", "--mount", "--propagation", "private", sys.executable, "-c", _INSIDE, root),
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout == said
