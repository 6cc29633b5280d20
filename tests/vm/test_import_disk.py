"""Disks as real machines have them, made by a guest's own tools, read by the appliance, compared entry by entry."""

import os
import platform
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged.model.errors import BadInput, CommandFailed
from imaged.model.settings import Settings
from imaged.origins.diskfile import unpack
from imaged.qemu.options import Accel, processor
from imaged.ramdisk.cpio import Entry, archive
from tests.vm.disks import Attributes, attributes

pytestmark = pytest.mark.matrix

# In both disks' fstab what belongs to the other may be missing.
FSTAB = """\
/dev/sda9 / ext4 errors=remount-ro 0 1
UUID=1234-ABCD /boot/efi vfat umask=0077,nofail 0 1
/dev/vg-a/var /var ext4 nofail 0 2
UUID=33333333-2222-4333-8444-555555555555 /home btrfs subvol=@home,compress=zstd,nofail 0 0
tmpfs /tmp tmpfs defaults 0 0
"""
MAKE = r"""#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -ex
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
modprobe -a virtio_pci virtio_blk dm_mod ext4 xfs btrfs vfat nls_cp437 nls_ascii nls_iso8859-1
until [ -b /dev/vdc ]; do sleep 1; done
mkdir /p
lvm() { /usr/sbin/lvm "$@" --config 'activation { udev_sync=0 udev_rules=0 }'; }
fill() {
    tar --extract --file=/dev/vdc --directory=/p --numeric-owner --same-permissions --xattrs '--xattrs-include=*' \
        --acls --sparse --delay-directory-restore
}

printf 'label: gpt\nsize=40M,type=U\nsize=120M,name=sys\nsize=16M\n' | sfdisk -q /dev/vda
mkfs.vfat -i 1234ABCD /dev/vda1
mke2fs -q -t ext4 -L system /dev/vda2
mke2fs -q -t ext2 -L rescue /dev/vda3
mount -t ext2 /dev/vda3 /p
mkdir -p /p/etc /p/sbin
echo 'PRETTY_NAME="A rescue system"' > /p/etc/os-release
touch /p/sbin/init
umount /p
mount -t ext4 /dev/vda2 /p
rmdir /p/lost+found
mkdir -p /p/boot/efi
mount -t vfat /dev/vda1 /p/boot/efi
mkdir -p /p/boot/efi/EFI/BOOT
echo loader > /p/boot/efi/EFI/BOOT/BOOTX64.EFI
umount /p/boot/efi
fill
sync
# Pulled out in use: what was last written is in the journal only.
dd if=/dev/vda of=/dev/vdd bs=1M

printf 'label: dos\nstart=1M,type=8e\n' | sfdisk -q /dev/vdb
lvm pvcreate -q /dev/vdb1
lvm vgcreate -q vg-a /dev/vdb1
lvm lvcreate -q -y -Wn -L 320M -n root vg-a
lvm lvcreate -q -y -Wn -L 32M -n var vg-a
lvm lvcreate -q -y -Wn -L 120M -n home vg-a
mkfs.xfs -q /dev/mapper/vg--a-root
mke2fs -q -t ext4 /dev/mapper/vg--a-var
mkfs.btrfs -q -U 33333333-2222-4333-8444-555555555555 /dev/mapper/vg--a-home
umount /p
mount -t btrfs /dev/mapper/vg--a-home /p
btrfs -q subvolume create /p/@home
umount /p
mount -t xfs /dev/mapper/vg--a-root /p
mkdir /p/var /p/home
mount -t ext4 /dev/mapper/vg--a-var /p/var
mount -t btrfs -o subvol=@home /dev/mapper/vg--a-home /p/home
rmdir /p/var/lost+found
fill
umount /p/home /p/var /p
lvm vgchange -q -an
sync
echo all is made > /dev/console
poweroff -f
"""


@pytest.fixture(scope="session")
def boot(site: Settings) -> Path:
    """The boot directory with the ramdisk."""
    return Path(site.state) / "boot"


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small system with everything that makes a file."""
    root = tmp_path_factory.mktemp("source") / "tree"
    for place in ("etc", "sbin", "boot/efi", "home/ada", "var/lib", "srv/nasty", "dev", "tmp"):
        (root / place).mkdir(parents=True)
    (root / "etc/fstab").write_text(FSTAB)
    (root / "etc/os-release").write_text('PRETTY_NAME="A small system"\n')
    (root / "sbin/init").write_bytes(b"\x7fELF")
    (root / "home/ada/letter").write_text("Dear Charles")
    os.chown(root / "home/ada/letter", 1001, 4_000_000_000)
    (root / "var/lib/one").write_text("one")
    os.link(root / "var/lib/one", root / "var/lib/two")
    nasty = root / "srv/nasty"
    for name in (b"new\nline", b"\xff\xfe not utf-8", "ünï".encode(), b"n" * 255, b" -rf *", b"\\x41"):
        (nasty / os.fsdecode(name)).write_bytes(name)
    (nasty / "suid").write_bytes(b"x")
    os.chown(nasty / "suid", 7, 8)
    (nasty / "suid").chmod(0o6755)
    os.link(nasty / "suid", nasty / "hard")
    (nasty / "link").symlink_to("/etc/../../outside")
    os.lchown(nasty / "link", 12, 13)
    os.mkfifo(nasty / "fifo", 0o640)
    os.mknod(nasty / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    os.mknod(nasty / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with (nasty / "sparse").open("wb") as file:
        file.truncate(40 << 20)
        file.seek(20 << 20)
        file.write(b"in the middle")
    os.setxattr(nasty / "suid", "user.colour", b"\0\xffblue")
    os.setxattr(nasty / "suid", "trusted.deep", b"x")
    # linux/capability.h, VFS_CAP_REVISION_2: cap_net_raw+ep
    os.setxattr(nasty / "hard", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    subprocess.run(("setfacl", "-m", "u:1001:rw,d:g:55:rx", nasty), check=True)
    subprocess.run(("setfacl", "-m", "u:1002:r", nasty / "new\nline"), check=True)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_000_000_000_123_456_789 + number * 1_000_003), follow_symlinks=False)
    return root


@pytest.fixture(scope="session")
def disks(tree: Path, boot: Path, accel: Accel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ...]]:
    """GPT with an ESP, a root that is still mounted and a second root; the same after a dd; MBR with LVM."""
    here = tmp_path_factory.mktemp("disks")
    packed = here / "tree.tar"
    argv = ("tar", "--create", "--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls",
            "--sparse", "--exclude=./boot/efi", f"--file={packed}", f"--directory={tree}", ".")  # fmt: skip
    subprocess.run(argv, check=True)
    paths = (here / "gpt.img", here / "lvm.img", packed, here / "pulled.img")
    for path, size in zip(paths, (192, 640, None, 192), strict=True):
        if size:
            with path.open("wb") as file:
                file.truncate(size << 20)
    ramdisk = boot / "ramdisk" / platform.machine()
    initrd = here / "initrd.img"
    initrd.write_bytes((ramdisk / "initrd.img").read_bytes() + archive((Entry.file("make", MAKE.encode(), 0o755),)))
    drives = [word for path in paths for word in ("-drive", f"file={path},format=raw,if=virtio,cache=unsafe")]
    done = subprocess.run(
        ("setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
         "-display", "none", "-machine", "q35", *processor(accel), "-smp", "1", "-m", "1024", "-serial", "stdio",
         "-kernel", ramdisk / "vmlinuz", "-initrd", initrd,
         "-append", "rdinit=/make console=ttyS0 panic=-1 quiet mitigations=off", *drives),
        capture_output=True, text=True, errors="replace", timeout=900, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "all is made" in done.stdout, done.stdout[-3000:]
    yield paths
    for path in paths:
        path.unlink()


def same(tree: Path, out: Path) -> None:
    """Everything agrees but what the ESP's filesystem cannot hold."""

    def kept(found: dict[str, Attributes]) -> dict[str, Attributes]:
        return {path: each for path, each in found.items() if not path.startswith("boot/efi")}

    want, got = kept(attributes(tree)), kept(attributes(out))
    assert set(got) == set(want)
    assert {path: (got[path], want[path]) for path in want if got[path] != want[path]} == {}
    assert (out / "srv/nasty/sparse").stat().st_blocks < 1 << 11


def test_a_qcow2_with_an_esp_and_two_roots(disks: tuple[Path, ...], tree: Path, boot: Path, tmp_path: Path) -> None:
    disk, out, said = tmp_path / "a,b.qcow2", tmp_path / "out", list[str]()
    subprocess.run(("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disks[3], disk), check=True)
    out.mkdir()
    with pytest.raises(BadInput) as caught:
        unpack(disk, out, partition=None, boot=boot, on_line=said.append)
    assert caught.value.what == "there are several root filesystems"
    assert [line.split(" (")[0].strip() for line in caught.value.hint.splitlines()[1:]] == [
        "2: A small system", "3: A rescue system",
    ]  # fmt: skip
    assert list(out.iterdir()) == []
    before = disk.stat().st_mtime_ns
    unpack(disk, out, partition="LABEL=system", boot=boot, on_line=said.append)
    assert disk.stat().st_mtime_ns == before
    same(tree, out)
    efi = out / "boot/efi/EFI/BOOT/BOOTX64.EFI"
    assert (efi.read_text(), stat.S_IMODE(efi.stat().st_mode)) == ("loader\n", 0o700)
    assert "/var is on /dev/vg-a/var, which is not on this disk: left out" in said


def test_a_raw_disk_with_lvm(disks: tuple[Path, ...], tree: Path, boot: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", list[str]()
    out.mkdir()
    unpack(disks[1], out, partition=None, boot=boot, on_line=said.append)
    same(tree, out)
    assert any(line.startswith("root: vg-a/root: A small system") for line in said)
    assert any(line.startswith("/home: vg-a/home: btrfs") for line in said)


def test_a_disk_in_use_is_refused(boot: Path, tmp_path: Path) -> None:
    """QEMU's own lock: another machine may be writing to it."""
    disk = tmp_path / "used.qcow2"
    subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"), check=True)
    address = tmp_path / "qmp"
    owner = subprocess.Popen(
        ("setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-S", "-nodefaults", "-display", "none",
         "-machine", "none", "-drive", f"if=none,file={disk},format=qcow2",
         "-qmp", f"unix:{address},server=on,wait=off"),
    )  # fmt: skip
    try:
        with socket.socket(socket.AF_UNIX) as qmp:
            while qmp.connect_ex(str(address)):
                assert owner.poll() is None
                os.sched_yield()
            qmp.recv(4096)  # its greeting comes when all drives are open
        with pytest.raises(CommandFailed, match="the disk is in use"):
            unpack(disk, tmp_path, partition=None, boot=boot, on_line=lambda _: None)
    finally:
        owner.kill()
        owner.wait()
