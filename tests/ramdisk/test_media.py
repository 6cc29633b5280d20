"""Boot media: the commands that make one, and a whole one read back with the tools of the trade."""

import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from imaged.model.errors import NotFound
from imaged.ramdisk import media, signed
from imaged.ramdisk.enter import Bind, run_inside
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache

CACHE = Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE)
READY = os.geteuid() == 0 and shutil.which("mmdebstrap")


def test_the_image_is_for_cd_and_stick_and_both_firmwares() -> None:
    argv = media.image_argv("/t", "/mbr.img", "/o.iso")
    pairs = set(pairwise(argv))
    assert {("-volid", "IMAGED"), ("--grub2-mbr", "/mbr.img"), ("-b", "boot/grub/eltorito.img"),
            ("--efi-boot", "boot/grub/efi.img"), ("-o", "/o.iso")} <= pairs  # fmt: skip
    assert "-efi-boot-part" in argv
    assert argv[-1] == "/t"


def test_a_medium_for_arm64_is_for_uefi_alone() -> None:
    argv = media.image_argv("/t", "", "/o.iso")
    assert "--efi-boot" in argv
    assert not {"-b", "--grub2-mbr"} & set(argv)
    assert signed.SIGNED["aarch64"].medium() == {
        "BOOTAA64.EFI": "usr/lib/shim/shimaa64.efi.signed",
        "grubaa64.efi": "usr/lib/grub/arm64-efi-signed/gcdaa64.efi.signed",
        "mmaa64.efi": "usr/lib/shim/mmaa64.efi.signed",
    }


def test_nothing_is_made_without_a_ramdisk(tmp_path: Path) -> None:
    medium = media.Medium("menu", tmp_path / "ramdisk/x86_64", "title")
    with pytest.raises(NotFound, match="no boot ramdisk"):
        media.build(medium, tmp_path / "out.iso", Cache(tmp_path / "cache"), print)
    assert not (tmp_path / "out.iso").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(not READY, reason="needs root and mmdebstrap")
def test_a_whole_medium(tmp_path: Path) -> None:
    ramdisk = tmp_path / "ramdisk"
    ramdisk.mkdir()
    (ramdisk / "vmlinuz").write_bytes(b"kernel" * 1000)
    (ramdisk / "initrd.img").write_bytes(b"ramdisk" * 1000)
    image = tmp_path / "out.iso"
    image.write_text("an older one")
    size = media.build(media.Medium("menuentry x { true }\n", ramdisk, "title"), image, Cache(CACHE), print)
    assert size == image.stat().st_size
    assert image.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.iso", "ramdisk"]

    tools, bind = CACHE / media.recipe().key, (Bind(tmp_path, "mnt/output", writable=True),)
    run_inside(
        tools,
        ("xorriso", "-osirrox", "on", "-indev", "/mnt/output/out.iso", "-extract", "/", "/mnt/output/read"),
        bind,
    )
    read = tmp_path / "read"
    assert (read / "boot/vmlinuz").read_bytes() == (ramdisk / "vmlinuz").read_bytes()
    assert (read / "boot/initrd.img").read_bytes() == (ramdisk / "initrd.img").read_bytes()
    assert (read / "boot/grub/grub.cfg").read_text() == "menuentry x { true }\n"
    assert (read / ".disk/info").read_text() == "title\n"  # Debian's signed GRUB looks for exactly this file

    first = image.read_bytes()[:512]
    assert first[510:] == b"\x55\xaa"
    assert first[:440].strip(b"\0")  # code for a BIOS that takes it for a disk
    if shutil.which("sfdisk"):
        table = subprocess.run(("sfdisk", "--dump", image), capture_output=True, text=True, check=True).stdout
        assert "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" in table or "type=ef" in table  # a stick's EFI system partition
    for name, source in signed.SIGNED["x86_64"].medium().items():
        at = f"::/EFI/BOOT/{name}"
        run_inside(tools, ("mcopy", "-n", "-i", "/mnt/output/read/boot/grub/efi.img", at, "/mnt/output/" + name), bind)
        assert (tmp_path / name).read_bytes() == (CACHE / signed.recipe("x86_64").key / source).read_bytes()
