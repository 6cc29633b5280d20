"""What the guest is to do, as data: four disks of 2 GiB, three virtio and one NVMe with sectors of 4096 bytes."""

from attrs import evolve

from imaged.model.hardware import Disk
from imaged.model.layout import Label, Role
from imaged.model.plan import (
    CheckDevice,
    CheckFile,
    MakeArray,
    MakeCrypt,
    MakeFilesystem,
    MakeGroup,
    MakeSubvolumes,
    MakeSwap,
    MakeSwapFile,
    MakeTable,
    MakeVolume,
    Mount,
    OpenCrypt,
    PlannedPartition,
    PlannedSubvolume,
    StartArray,
    StartGroup,
    Unmount,
    WipeDisk,
    WriteFile,
)
from imaged.model.size import GIB, MIB
from imaged.model.stack import Filesystem
from imaged.model.uefi import MirrorEsp
from installer import storage
from tests.vm.storage.__main__ import Scenario, Scenarios

SIZE = 2 * GIB
VDA, VDB, VDC, NVME = (Disk(f"/dev/{name}", SIZE) for name in ("vda", "vdb", "vdc", "nvme0n1"))
DISKS = (VDA, VDB, VDC, NVME)
WIPE = tuple(WipeDisk(disk) for disk in DISKS)
P, F, M = PlannedPartition, MakeFilesystem, Mount
EXT4, XFS, BTRFS, VFAT, F2FS = (Filesystem(name) for name in ("ext4", "xfs", "btrfs", "vfat", "f2fs"))


def uuid(number: int) -> str:
    return f"0c7a1a5e-52b4-5ad2-8b0e-6f1f6f6d{number:04d}"


# chattr's C, for there is no lsattr in the ramdisk: FS_IOC_GETFLAGS, FS_NOCOW_FL.
FLAGS = (
    "import array, fcntl, os, sys; flags = array.array('L', (0,)); "
    "fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x80086601, flags); print(bool(flags[0] & 0x800000))"
)
MD_BOOT, MD_ROOT, MD_DATA = (f"0c7a1a5e:52b45ad2:8b0e6f1f:6f6d{number:04d}" for number in (1, 2, 3))
MIRRORED = (
    P(1, "bios", Role.BIOS_GRUB, MIB, MIB),
    P(2, "esp", Role.ESP, 2 * MIB, 64 * MIB, VFAT),
    P(3, "boot", Role.RAID, 66 * MIB, 128 * MIB),
    P(4, "root", Role.RAID, 194 * MIB, 1500 * MIB),
    P(5, "spare", Role.DATA, 1694 * MIB, 300 * MIB, EXT4),
)
ENCRYPTED = (P(1, "crypt", Role.LUKS, MIB, 1500 * MIB), P(2, "xboot", Role.XBOOTLDR, 1501 * MIB, 100 * MIB, EXT4))
LARGE_SECTORS = (
    P(1, "esp", Role.ESP, MIB, 300 * MIB, VFAT),
    P(2, "root", Role.ROOT, 301 * MIB, GIB, XFS),
    P(3, "swap", Role.SWAP, 1325 * MIB, 200 * MIB),
)
STACK = Scenario(
    "stack",
    (
        *WIPE,
        MakeTable(VDA, Label.GPT, MIRRORED),
        MakeTable(VDB, Label.GPT, MIRRORED),
        MakeTable(VDC, Label.GPT, ENCRYPTED),
        MakeTable(NVME, Label.GPT, LARGE_SECTORS),
        MakeArray("/dev/md/boot", 1, "1.0", MD_BOOT, ("/dev/vda3", "/dev/vdb3")),
        MakeArray("/dev/md/root", 1, "1.2", MD_ROOT, ("/dev/vda4", "/dev/vdb4")),
        MakeCrypt("/dev/vdc1", "crypt0", uuid(1), keyfile="/etc/crypt0.key"),
        MakeGroup("vg0", ("/dev/md/root",), 4 * MIB),
        MakeVolume("vg0", "root", 400 * MIB),
        MakeVolume("vg0", "var", 200 * MIB),
        MakeVolume("vg0", "pool", 300 * MIB, thin=True),
        MakeVolume("vg0", "thin", GIB, pool="pool"),
        MakeVolume("vg0", "swap", 64 * MIB),
        F("/dev/vda2", VFAT, "1A2B-3C4D", "ESP"),
        F("/dev/vdb2", VFAT, "1A2B-3C4E"),
        F("/dev/vda5", EXT4, uuid(15), "spare"),
        F("/dev/vdb5", EXT4, uuid(16), arguments=("-O", "^metadata_csum", "-m", "1")),
        F("/dev/nvme0n1p1", VFAT, "1A2B-3C4F", "ESP4K"),
        F("/dev/nvme0n1p2", XFS, uuid(17), "root4k"),
        MakeSwap("/dev/nvme0n1p3", uuid(18)),
        F("/dev/md/boot", EXT4, uuid(11), "boot"),
        F("/dev/vg0/root", XFS, uuid(12)),
        F("/dev/vg0/var", EXT4, uuid(13), "var"),
        F("/dev/vg0/thin", EXT4, uuid(14)),
        MakeSwap("/dev/vg0/swap", uuid(19)),
        F("/dev/mapper/crypt0", BTRFS, uuid(20), "system"),
        MakeSubvolumes(
            "/dev/mapper/crypt0",
            (PlannedSubvolume("@/.snapshots/1/snapshot"), PlannedSubvolume("@/var", nodatacow=True)),
            "@/.snapshots/1/snapshot",
        ),
        M("/dev/mapper/crypt0", BTRFS, "/", "compress=zstd"),
        M("/dev/mapper/crypt0", BTRFS, "/var", "subvol=@/var"),
        M("/dev/md/boot", EXT4, "/boot"),
        M("/dev/vda2", VFAT, "/boot/efi", "umask=0077"),
        M("/dev/vg0/root", XFS, "/srv"),
        M("/dev/vg0/thin", EXT4, "/thin"),
        WriteFile("/boot/marker", "boot stays\n"),
        WriteFile("/boot/efi/EFI/debian/grub.cfg", "stub\n"),
        WriteFile("/srv/marker", "srv stays\n"),
        WriteFile("/thin/marker", "thin stays\n"),
        WriteFile("/var/marker", "var stays\n"),
        MakeSwapFile("/swap/file", 64 * MIB, uuid(21)),
        MakeSwapFile("/thin/file", 32 * MIB, uuid(22)),
        MirrorEsp("/boot/efi", ("/dev/vdb2",)),
        *(
            CheckDevice(device, its)
            for device, its in (
                ("/dev/vda2", "1A2B-3C4D"),
                ("/dev/vdb2", "1A2B-3C4E"),
                ("/dev/nvme0n1p1", "1A2B-3C4F"),
                ("/dev/nvme0n1p2", uuid(17)),
                ("/dev/nvme0n1p3", uuid(18)),
                ("/dev/md/boot", uuid(11)),
                ("/dev/vg0/root", uuid(12)),
                ("/dev/vg0/swap", uuid(19)),
                ("/dev/mapper/crypt0", uuid(20)),
                ("/dev/vdc1", uuid(1)),
            )
        ),
    ),
    after=(
        ("sfdisk", "--json", "/dev/vda"),
        ("sfdisk", "--json", "/dev/vdc"),
        ("sfdisk", "--json", "/dev/nvme0n1"),
        ("blkid", "-p", "-o", "export", "/dev/vda5"),
        ("blkid", "-p", "-o", "export", "/dev/vdb5"),
        ("dumpe2fs", "-h", "/dev/vdb5"),
        ("mdadm", "--detail", "--export", "/dev/md/root"),
        ("mdadm", "--detail", "--export", "/dev/md/boot"),
        ("mdadm", "--examine", "--export", "/dev/vda4"),
        ("mdadm", "--examine", "--export", "/dev/vda3"),
        ("mdadm", "--detail", "/dev/md/root"),
        ("lvm", "lvs", "--noheadings", "--units", "b", "-o", "lv_name,lv_size,segtype,pool_lv", "vg0"),
        ("cryptsetup", "luksDump", "/dev/vdc1"),
        ("btrfs", "subvolume", "list", "/target"),
        ("btrfs", "subvolume", "get-default", "/target"),
        *(
            ("python3", "-c", FLAGS, path)
            for path in ("/target/var", "/target/var/marker", "/target/swap/file", "/target")
        ),
        tuple(storage.report()),
        ("swapon", "/target/swap/file"),
        ("swapon", "/target/thin/file"),
        ("cat", "/proc/swaps"),
        ("swapoff", "-a"),
        ("stat", "-c", "%a %s %b", "/target/swap/file"),
        ("mount", "-t", "vfat", "-o", "ro", "/dev/vdb2", "/mnt"),
        ("cat", "/mnt/EFI/debian/grub.cfg"),
        ("umount", "/mnt"),
        ("cat", "/proc/mdstat"),
        ("cat", "/proc/sys/dev/raid/speed_limit_max"),
        ("systemd-cryptenroll", "/dev/vdc1"),
        ("lsblk", "-o", "NAME,TYPE,SIZE,FSTYPE,MOUNTPOINT"),
        ("ls", "-l", "/run/mdadm", "/dev/md"),
    ),
)
WRITES = tuple(("cat", f"/sys/block/{disk.path.removeprefix('/dev/')}/stat") for disk in DISKS)
UNMOUNTED = Scenario("unmounted", (Unmount(),), after=(("sync",), ("sleep", "1"), ("cat", "/proc/mounts"), *WRITES))
# Of the members of arrays: the ends, where superblocks and bitmaps are.
SUM = (
    "import hashlib, os, sys; device = open(sys.argv[1], 'rb', 0); begin = device.read(1 << 22); "
    "device.seek(-(1 << 22), os.SEEK_END); print(hashlib.sha256(begin + device.read()).hexdigest())"
)
SUMS = tuple(("python3", "-c", SUM, f"/dev/{name}") for name in ("vda3", "vdb3", "vda4", "vdb4"))
FOUND = Scenario(
    "found",
    inventory=True,
    after=(
        *WRITES,
        *SUMS,
        ("cat", "/proc/mdstat"),
        ("dmsetup", "ls"),
        ("udevadm", "trigger", "--type=devices", "--action=add", "--subsystem-match=block"),
        ("udevadm", "settle"),
        ("cat", "/proc/mdstat"),
        ("dmsetup", "ls"),
    ),
)
FOUND_AGAIN = Scenario("found again", inventory=True, after=(*WRITES, *SUMS))
BEHIND = P(2, "new", Role.DATA, 1600 * MIB, 100 * MIB, EXT4)
KEPT = (evolve(MIRRORED[2], kept=True), evolve(MIRRORED[3], kept=True))
KEEP = Scenario(
    "keep",
    (
        WipeDisk(VDA, (3, 4)), WipeDisk(VDB, (3, 4)), WipeDisk(VDC, (1,)), WipeDisk(NVME),
        MakeTable(VDA, Label.GPT, (MIRRORED[0], MIRRORED[1], *KEPT)),
        MakeTable(VDB, Label.GPT, (P(1, "one", Role.DATA, MIB, 65 * MIB, EXT4), *KEPT)),
        MakeTable(VDC, Label.GPT, (evolve(ENCRYPTED[0], kept=True), BEHIND)),
        MakeTable(NVME, Label.GPT, LARGE_SECTORS[:1]),
        StartArray("/dev/md/boot", MD_BOOT),
        StartArray("/dev/md/root", MD_ROOT),
        OpenCrypt("/dev/vdc1", "crypt0", uuid(1)),
        StartGroup("vg0", "of the inventory", ("var",)),
        MakeVolume("vg0", "var", 100 * MIB),
        F("/dev/vg0/var", EXT4, uuid(23)),
        M("/dev/mapper/crypt0", BTRFS, "/"),
        M("/dev/mapper/crypt0", BTRFS, "/var", "subvol=@/var"),
        M("/dev/md/boot", EXT4, "/boot"),
        M("/dev/vg0/root", XFS, "/srv"),
        M("/dev/vg0/thin", EXT4, "/thin"),
        CheckFile("/boot/marker", contains="boot stays\n"),
        CheckFile("/srv/marker", contains="srv stays\n"),
        CheckFile("/thin/marker", contains="thin stays\n"),
        CheckFile("/var/marker", contains="var stays\n"),
        CheckDevice("/dev/vg0/var", uuid(23)),
        Unmount(),
    ),
    after=(
        ("sfdisk", "--json", "/dev/vda"),
        ("sfdisk", "--json", "/dev/vdb"),
        ("sfdisk", "--json", "/dev/vdc"),
        ("blkid", "-p", "/dev/vda2"),
        ("blkid", "-p", "/dev/vdc2"),
        ("lvm", "lvs", "--noheadings", "--units", "b", "-o", "lv_name,lv_size,segtype,pool_lv", "vg0"),
    ),
)  # fmt: skip
ANOTHER = Scenario("another", (StartArray("/dev/md/none", MD_DATA),), fails="did not start", after=(("ls", "/dev/md"),))
MISSING = Scenario("missing", (WipeDisk(VDB, (3, 9)),), fails="partition 9 is to be kept and is not there")
TALL = Scenario(
    "tall",
    (
        *WIPE,
        MakeArray("/dev/md/data", 5, "1.2", MD_DATA, ("/dev/vda", "/dev/vdb", "/dev/vdc"), ("/dev/nvme0n1",)),
        MakeCrypt("/dev/md/data", "crypt1", uuid(2)),
        MakeGroup("vg1", ("/dev/mapper/crypt1",), 4 * MIB),
        MakeVolume("vg1", "home", GIB),
        F("/dev/vg1/home", F2FS, uuid(24), "home"),
        M("/dev/vg1/home", F2FS, "/"),
        WriteFile("/marker", "x\n"),
        MakeSwapFile("/swapfile", 32 * MIB, uuid(25)),
        CheckDevice("/dev/vg1/home", uuid(24)),
    ),
    after=(
        ("mdadm", "--detail", "--export", "/dev/md/data"),
        ("cat", "/proc/mdstat"),
        ("lsblk", "-o", "NAME,TYPE,SIZE,FSTYPE,LOG-SEC"),
        ("swapon", "/target/swapfile"),
        ("swapoff", "/target/swapfile"),
        ("umount", "/target"),
    ),
)
TALL_FOUND = Scenario("tall found", inventory=True, after=(("cat", "/proc/mdstat"), ("dmsetup", "ls")))
# ZFS keeps four labels of 256 KiB, two at either end, with uberblocks in their second halves; libblkid wants four.
ZPOOL = (
    "import os, sys; device = os.open(sys.argv[1], os.O_RDWR); size = os.lseek(device, 0, os.SEEK_END); "
    "[os.pwrite(device, bytes.fromhex('0cb1ba0000000000'), label + 131072 + 1024 * number) "
    "for label in (0, 262144, size - 524288, size - 262144) for number in range(8)]"
)
OLD = Scenario(
    "old",
    WIPE,
    before=(
        *(("wipefs", "--all", "--force", disk.path) for disk in DISKS),
        ("mdadm", "--create", "/dev/md/old", "--run", "--metadata=0.90", "--level=1", "--raid-devices=2", "/dev/vda",
         "/dev/vdb"),
        ("mdadm", "--create", "/dev/md/end", "--run", "--metadata=1.0", "--level=1", "--raid-devices=2", "/dev/vdc",
         "missing"),
        ("udevadm", "settle"),
        ("lvm", "vgcreate", "--yes", "oldvg", "/dev/md/old"),
        ("lvm", "lvcreate", "--yes", "-L", "100m", "-n", "lv", "oldvg"),
        ("mkswap", "/dev/oldvg/lv"),
        ("swapon", "/dev/oldvg/lv"),
        ("sgdisk", "-n", "1:0:+100M", "/dev/md/end"),
        ("sgdisk", "-n", "1:0:+100M", "/dev/nvme0n1"),
        ("udevadm", "settle"),
        ("python3", "-c", ZPOOL, "/dev/nvme0n1p1"),
        ("blkid", "-p", "/dev/nvme0n1p1"),
        ("mkfs.ext4", "-q", "/dev/md/end1"),
        ("lsblk", "-o", "NAME,TYPE,SIZE,FSTYPE"),
    ),
    after=(
        ("cat", "/proc/mdstat"),
        ("dmsetup", "ls"),
        *((program, *words, disk.path) for disk in DISKS for program, *words in (
            ("blkid", "-p"), ("wipefs", "--noheadings"), ("mdadm", "--examine"))),
    ),
)  # fmt: skip
LOGICAL = (
    P(1, "boot", Role.BOOT, MIB, 100 * MIB, EXT4),
    P(5, "root", Role.ROOT, 102 * MIB, 400 * MIB, EXT4),
    P(6, "pv", Role.PV, 503 * MIB, 400 * MIB),
    P(7, "crypt", Role.LUKS, 904 * MIB, 100 * MIB),
)
NEW_LOGICAL = P(6, "d", Role.DATA, 600 * MIB, GIB, XFS)
MBR = Scenario(
    "mbr",
    (
        WipeDisk(VDA), MakeTable(VDA, Label.MSDOS, LOGICAL),
        F("/dev/vda5", EXT4, uuid(26)), F("/dev/vda1", EXT4, uuid(27)),
        M("/dev/vda5", EXT4, "/"), WriteFile("/marker", "logical stays\n"), Unmount(),
    ),
    after=(("sfdisk", "--json", "/dev/vda"),),
)  # fmt: skip
MBR_KEEP = Scenario(
    "mbr keep",
    (
        WipeDisk(VDA, (5,)),
        MakeTable(VDA, Label.MSDOS, (LOGICAL[0], evolve(LOGICAL[1], kept=True), NEW_LOGICAL)),
        F("/dev/vda6", XFS, uuid(28)),
        M("/dev/vda5", EXT4, "/"), CheckFile("/marker", contains="logical stays\n"), Unmount(),
    ),
    inventory=True,
    after=(("sfdisk", "--json", "/dev/vda"), ("blkid", "-p", "/dev/vda1"), ("blkid", "-p", "/dev/vda6")),
)  # fmt: skip
TPM = Scenario(
    "tpm",
    (
        WipeDisk(VDC), MakeTable(VDC, Label.GPT, ENCRYPTED), MakeCrypt("/dev/vdc1", "crypt2", uuid(3), tpm2=True),
        F("/dev/mapper/crypt2", EXT4, uuid(29)),
    ),
    inventory=True,
    after=(("systemd-cryptenroll", "/dev/vdc1"), ("cryptsetup", "close", "crypt2")),
)  # fmt: skip
ALL = Scenarios((STACK, UNMOUNTED, FOUND, FOUND_AGAIN, KEEP, ANOTHER, MISSING, TALL, TALL_FOUND, OLD, MBR, MBR_KEEP))
