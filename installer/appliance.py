"""The appliance: finds the machine that is on a disk, and sends its tree to the host as one tar archive. I/O only."""

import hashlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from attrs import define, field

from imaged.model.appliance import GREETING, PARTITION_WORD, PORT, SOURCE, Begin, End, Failed, Kind, frame
from imaged.model.codec import to_json
from imaged.model.errors import CommandFailed, ImagedError, NotFound
from installer import appliance_volumes as volumes
from installer.appliance_mounts import Layout, Place, lay_out, options, read_fstab
from installer.appliance_volumes import Root, Volume
from installer.process import Processes, Run, ended, tail
from installer.tree import inside

_TARGET, _PROBE = Path("/target"), Path("/probe")
_CHUNK = 1 << 18
_SECTOR_4K = 4096
# What checks thin pools is not in the ramdisk; a pool that is broken says so when it is read.
_LVM = 'global { thin_check_executable="" cache_check_executable="" } devices { use_devicesfile=0 }'
_TAR = (
    "tar", "--create", "--file=-", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--numeric-owner",
    # XFS shows ACLs once more in its own form, which no other filesystem is to get as an attribute (xfs_xattr.c).
    "--xattrs", "--xattrs-include=*", "--xattrs-exclude=trusted.SGI_ACL_*", "--acls", "--sparse",
    "--one-file-system", "--blocking-factor=128", f"--directory={_TARGET}",
)  # fmt: skip


@define
class Port:
    """The way to the host."""

    file: FileIO
    notes: list[str] = field(factory=list)

    def send(self, kind: Kind, payload: bytes | str) -> None:
        """One frame, however little the kernel takes at a time (virtio_console: 32 KiB)."""
        rest = memoryview(frame(kind, payload.encode(errors="replace") if isinstance(payload, str) else payload))
        while rest:
            rest = rest[self.file.write(rest) :]

    def say(self, line: str) -> None:
        """A line for people; also for the list of what was found, should nothing come of it."""
        self.notes.append(line)
        self.send(Kind.SAID, line)

    def await_hangup(self) -> None:
        """The host ends this machine when it has read everything. What is under way in a port would die with us."""
        self.file.read(1)


def main() -> int:
    """0 when the archive was sent whole."""
    with open(f"/dev/virtio-ports/{PORT}", "r+b", buffering=0) as file:
        port = Port(file)
        port.send(Kind.SAID, GREETING)
        try:
            export(port, Processes(print).run, _wanted(Path("/proc/cmdline").read_text()))
            code = 0
        except ImagedError as error:
            port.send(Kind.FAILED, to_json(Failed(error.what, error.where, error.hint)))
            code = 1
        except Exception as error:  # ours: the host shows it
            port.send(Kind.FAILED, to_json(Failed(f"a fault of the appliance: {error!r}", "", traceback.format_exc())))
            code = 1
        port.await_hangup()
    return code


def export(port: Port, run: Run, wanted: str) -> None:
    """Find the root that is meant, mount what belongs to it, send it. Raises ImagedError."""
    found = scan(source(run), run)
    for each in volumes.worth_telling(found):
        port.say(str(each))
    port.notes.clear()
    root = volumes.choose(roots(found, port, run), wanted, volumes.worth_telling(found), port.notes)
    port.say(f"root: {root}")
    chosen = (f"subvol={root.subvolume}",) if root.subvolume else ()
    mount(root.volume, _TARGET, options(root.volume, chosen), run)
    layout = read_layout(root, found)
    for note in layout.notes:
        port.say(note)
    mounts = ["/", *(place_in_tree(place, run) for place in layout.places)]
    for at, place in zip(mounts[1:], layout.places, strict=True):
        port.say(f"{at}: {place.volume}")
    send(port, mounts)


def source(run: Run) -> str:
    """The disk. One that had sectors of 4096 bytes has its table where a disk of 512 has none."""
    run(("udevadm", "settle", "--timeout=60"))
    device = os.path.realpath(f"/dev/disk/by-id/virtio-{SOURCE}")
    with open(device, "rb") as disk:
        head = disk.read(2 * _SECTOR_4K)
    if head[512:520] != b"EFI PART" and head[_SECTOR_4K : _SECTOR_4K + 8] == b"EFI PART":
        argv = ("losetup", "--find", "--show", "--partscan", "--sector-size", str(_SECTOR_4K), device)
        device = run(argv).output.strip()
    return device


def scan(disk: str, run: Run) -> tuple[Volume, ...]:
    """Everything on ``disk``, once arrays are assembled and volume groups are active."""
    run(("modprobe", "-a", "md_mod", "dm_mod"), check=False)
    start_ro = Path("/sys/module/md_mod/parameters/start_ro")
    if start_ro.exists():
        start_ro.write_text("1")  # no resync of what will be thrown away
    # Run also with members missing: a mirror's half is a whole filesystem.
    run(("mdadm", "--assemble", "--scan", "--run", "--config=partitions"), check=False)
    run(("lvm", "vgchange", "--activate", "y", "--config", _LVM), check=False)
    run(("udevadm", "settle", "--timeout=60"))
    listed = volumes.blocks(run((*volumes.LSBLK, disk)).output)
    return tuple(volumes.volume(block, volumes.properties(_blkid(block.device, run))) for block in listed)


def _blkid(device: str, run: Run) -> str:
    # 2: nothing is there; 8: more than one thing is, and nobody can tell which is meant (blkid(8))
    return run(("blkid", "--probe", "--output", "udev", device), check=False).output


def roots(found: Sequence[Volume], port: Port, run: Run) -> list[Root]:
    """Every root filesystem, by looking into all that can be mounted."""
    held = []
    for volume in found:
        if volume.fs not in volumes.MOUNTABLE:
            continue
        try:
            with mounted(volume, run):
                held += list(_roots_in(volume, run))
        except CommandFailed as error:
            port.say(f"{volume} cannot be mounted: {error.hint.splitlines()[0] if error.hint else error.what}")
    return held


def _roots_in(volume: Volume, run: Run) -> Iterator[Root]:
    if _is_root(_PROBE):
        yield Root(volume, "", _system(_PROBE))
    elif volume.fs == "btrfs":
        # -o would list those below the default one only
        listed = run(("btrfs", "subvolume", "list", "-a", str(_PROBE))).output
        names = [line.partition(" path ")[2].removeprefix("<FS_TREE>/") for line in listed.splitlines()]
        run(("umount", str(_PROBE)))
        mount(volume, _PROBE, ("ro", "subvolid=5"), run)
        for name in names:
            if "snapshots/" not in name and _is_root(_PROBE / name):
                yield Root(volume, name, _system(_PROBE / name))


def _is_root(tree: Path) -> bool:
    return volumes.is_root(name for name in volumes.ROOT_SIGNS if os.path.lexists(tree / name))


def _system(tree: Path) -> str:
    return volumes.system_name(_text(tree, "/etc/os-release") or _text(tree, "/usr/lib/os-release"))


def _text(tree: Path, path: str) -> str:
    try:
        with inside(tree, path).open("rb") as file:
            return file.read(1 << 20).decode(errors="replace")
    except OSError:
        return ""


def read_layout(root: Root, found: Sequence[Volume]) -> Layout:
    """What else belongs to the tree, by its own fstab."""
    empty = [at for at in ("/boot", "/efi") if _is_empty(_TARGET / at[1:])]
    return lay_out(read_fstab(_text(_TARGET, "/etc/fstab")), root, found, empty)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def place_in_tree(place: Place, run: Run) -> str:
    """Mount it where the machine would, links followed inside the tree; returns the path in the tree."""
    at = inside(_TARGET, place.at)
    if not at.is_dir():
        raise NotFound("the root has no directory for it", where=place.at, hint=str(place.volume))
    mount(place.volume, at, place.options, run)
    return f"/{at.relative_to(_TARGET)}"


@contextmanager
def mounted(volume: Volume, run: Run) -> Iterator[None]:
    """The volume at _PROBE for as long as the block runs."""
    mount(volume, _PROBE, options(volume), run)
    try:
        yield
    finally:
        run(("umount", str(_PROBE)), check=False)


def mount(volume: Volume, at: Path, words: Sequence[str], run: Run) -> None:
    """Read-only for us. The kernel replays the journal of one that was in use: the host keeps that from the file."""
    if at in (_TARGET, _PROBE):
        at.mkdir(exist_ok=True)
    run(("mount", "-t", volume.fs, "-o", ",".join(words), volume.device, str(at)))


def send(port: Port, mounts: Sequence[str]) -> None:
    """The archive between its two marks. Raises CommandFailed when tar was not content."""
    used = [os.statvfs(_TARGET / at[1:]) for at in mounts]
    port.send(Kind.BEGIN, to_json(Begin(sum((each.f_blocks - each.f_bfree) * each.f_frsize for each in used),
                                        tuple(mounts))))  # fmt: skip
    argv = (*_TAR, *(f".{at}" if at != "/" else "." for at in mounts))
    digest, count = hashlib.sha256(), 0
    with Path("/run/tar.errors").open("w+b") as errors:
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as tar:
            assert tar.stdout is not None
            while chunk := tar.stdout.read(_CHUNK):
                digest.update(chunk)
                count += len(chunk)
                port.send(Kind.DATA, chunk)
        errors.seek(0)
        said = [line for line in errors.read().decode(errors="replace").splitlines() if not _expected(line)]
    if tar.returncode:
        raise CommandFailed(ended(tar.returncode), where="tar", hint="\n  ".join(tail("\n".join(said))))
    for line in said:
        port.say(line)
    port.send(Kind.END, to_json(End(count, digest.hexdigest())))


def _expected(line: str) -> bool:
    """tar tells of every place where something is mounted; those come by themselves."""
    return "file is on a different filesystem" in line


def _wanted(cmdline: str) -> str:
    words = dict(word.partition("=")[::2] for word in cmdline.split())
    return words.get(PARTITION_WORD, "")


if __name__ == "__main__":
    sys.exit(main())
