"""A machine's tree out of a disk image: an appliance (a small virtual machine) reads it, its archive is unpacked here.

The host mounts nothing: it may lack the drivers, and a filesystem that a stranger made is not for its kernel.
"""

import hashlib
import platform
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from imaged import process
from imaged.model.appliance import GREETING, Begin, End, Failed, Kind, frames
from imaged.model.boot import RAMDISK_DIR
from imaged.model.codec import from_json
from imaged.model.errors import BadInput, CommandFailed, ImagedError, NotFound
from imaged.model.size import format_size
from imaged.planning import disk_format
from imaged.planning.disk_format import DiskImage
from imaged.qemu.accel import accelerator
from imaged.qemu.appliance import ApplianceFiles, argv, overlay_argv

_WORD = re.compile(r"[A-Za-z0-9_@=+:./-]{0,200}", re.ASCII)  # it travels on a kernel's command line
_CONNECT, _BOOT, _SILENCE = 60, 600, 900  # seconds; a log that is replayed under emulation takes its time
_TAIL = 12  # lines of the console
_STEP = 10  # percent
_LOCKED = 'Failed to get shared "write" lock'  # QEMU's, when another one writes to the image
_UNTAR = (
    "tar", "--extract", "--file=-", "--numeric-owner", "--same-owner", "--same-permissions", "--xattrs",
    "--xattrs-include=*", "--acls", "--sparse", "--delay-directory-restore",
)  # fmt: skip


def unpack(source: Path, tree: Path, *, partition: str | None, boot: Path, on_line: Callable[[str], None]) -> None:
    """Put the root filesystem that is on the disk image ``source``, and what its fstab adds, into the empty ``tree``.

    ``partition`` chooses where there are several roots: a partition's number, ``vg/lv``, a label or a UUID. ``boot`` is
    the directory with our ramdisk. ``on_line`` gets lines for people: what was found, how far it is.
    Raises ImagedError; then ``tree`` holds a part, or nothing.
    """
    wanted = partition or ""
    if not _WORD.fullmatch(wanted):
        raise BadInput(f"{wanted!r} is no partition", hint="Name it by number, vg/lv, LABEL=... or UUID=...")
    image = recognize(source)
    on_line(f"{image.format.value} disk of {format_size(image.size)}")
    try:
        with appliance(source, image, wanted, boot) as channel:
            receive(channel, tree, on_line)
    except ImagedError as error:
        where = f"{source}, {error.where}" if error.where else str(source)
        raise type(error)(error.what, where=where, hint=error.hint) from None


def recognize(source: Path) -> DiskImage:
    """Format and size of the disk in ``source``, which may also be a block device. Raises ImagedError."""
    try:
        with source.open("rb") as file:
            head = file.read(disk_format.HEAD)
            length = file.seek(0, 2)
    except OSError as error:
        raise NotFound(error.strerror or str(error), where=str(source)) from None
    try:
        return disk_format.recognize(head, length)
    except BadInput as error:
        raise BadInput(error.what, where=str(source), hint=error.hint.replace("FILE", source.name)) from None


@define
class Channel:
    """What the appliance sends. Reading raises CommandFailed with the console's last words when it has ended."""

    stream: socket.socket
    guest: "subprocess.Popen[bytes]"
    console: Path

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes, fewer at the end."""
        parts, left = [], size
        while left:
            try:
                part = self.stream.recv(left)
            except TimeoutError:
                raise self.lost(f"the appliance has been silent for {self.stream.gettimeout():.0f} s") from None
            except ConnectionResetError:
                part = b""
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def lost(self, what: str) -> CommandFailed:
        """``what``, with what the machine said last."""
        return _ended(what, self.console)


@contextmanager
def appliance(source: Path, image: DiskImage, wanted: str, boot: Path) -> Iterator[Channel]:
    """The machine, running and connected; it is gone when the block ends, and when we are killed."""
    arch = platform.machine()
    ramdisk = boot / RAMDISK_DIR / arch
    if not (ramdisk / "initrd.img").is_file():
        raise NotFound("there is no boot ramdisk", where=str(ramdisk), hint="Build one: imaged mkramdisk")
    # Not beside the tree: a socket's path has at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="imaged-disk-") as scratch, socket.socket(socket.AF_UNIX) as listener:
        here = Path(scratch)
        files = ApplianceFiles(
            str(ramdisk / "vmlinuz"), str(ramdisk / "initrd.img"), str(source.absolute()), str(here / "overlay.qcow2"),
            str(here / "export"),
        )  # fmt: skip
        process.run(overlay_argv(files.overlay, image))
        listener.bind(files.socket)
        listener.listen(1)
        command = ("setpriv", "--pdeathsig", "KILL", "--", *argv(arch, accelerator(boot), files, image, wanted))
        guest = process.start(command, output=here / "console")
        try:
            with _accept(listener, guest, here / "console") as stream:
                stream.settimeout(_BOOT)
                yield Channel(stream, guest, here / "console")
        finally:
            guest.kill()
            guest.wait()


def _accept(listener: socket.socket, guest: "subprocess.Popen[bytes]", console: Path) -> socket.socket:
    listener.settimeout(1)
    for _ in range(_CONNECT):
        try:
            return listener.accept()[0]
        except TimeoutError:
            if guest.poll() is not None:
                break
    raise _ended("QEMU did not start", console)


def receive(channel: Channel, tree: Path, on_line: Callable[[str], None]) -> None:
    """Unpack the archive that comes. Nothing short of the end mark, with the right hash, is a whole one."""
    incoming = frames(channel.read)
    # A ramdisk of an older imaged has no appliance in it, and would wait for a network.
    if next(incoming, None) != (Kind.SAID, GREETING.encode()):
        raise channel.lost("the appliance did not start")
    channel.stream.settimeout(_SILENCE)
    begin = _until_begin(channel, incoming, on_line)
    on_line(f"copying {format_size(begin.bytes)} from {', '.join(begin.mounts)}")
    said = process.feed((*_UNTAR, f"--directory={tree}"), _archive(channel, incoming, begin, on_line))
    for line in said.splitlines():
        on_line(line)


def _until_begin(channel: Channel, incoming: Iterator[tuple[Kind, bytes]], on_line: Callable[[str], None]) -> Begin:
    for kind, payload in incoming:
        if kind is Kind.BEGIN:
            return from_json(payload, Begin)
        _told(kind, payload, on_line)
    raise channel.lost("the appliance ended before it sent anything")


def _archive(
    channel: Channel, incoming: Iterator[tuple[Kind, bytes]], begin: Begin, on_line: Callable[[str], None]
) -> Iterator[bytes]:
    digest, count, shown = hashlib.sha256(), 0, 0
    for kind, payload in incoming:
        if kind is Kind.DATA:
            digest.update(payload)
            count += len(payload)
            percent = min(99, count * 100 // (begin.bytes or 1))
            if percent // _STEP > shown // _STEP:
                on_line(f"copied {percent // _STEP * _STEP} %")
                shown = percent
            yield payload
        elif kind is Kind.END:
            if from_json(payload, End) != End(count, digest.hexdigest()):
                raise CommandFailed("what arrived is not what the appliance sent")
            on_line(f"copied {format_size(count)}, sha256 {digest.hexdigest()[:16]}")
            return
        else:
            _told(kind, payload, on_line)
    raise channel.lost("the appliance ended before it had sent everything")


def _told(kind: Kind, payload: bytes, on_line: Callable[[str], None]) -> None:
    if kind is Kind.SAID:
        on_line(payload.decode(errors="replace"))
    elif kind is Kind.FAILED:
        failed = from_json(payload, Failed)
        raise BadInput(failed.what, where=failed.where, hint=failed.hint)
    else:
        raise BadInput(f"the appliance sent {kind.name} out of turn")


def _ended(what: str, console: Path) -> CommandFailed:
    said = _last_words(console)
    if any(_LOCKED in line for line in said):
        return CommandFailed("the disk is in use", hint="Shut the machine down that runs from it.")
    return CommandFailed(what, hint="\n  ".join(said))


def _last_words(console: Path) -> list[str]:
    lines = console.read_text(errors="replace").splitlines()
    return ["".join(letter for letter in line if letter.isprintable()) for line in lines if line.strip()][-_TAIL:]
