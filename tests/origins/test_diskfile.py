"""The host's half of reading a disk: what comes through the port is unpacked whole, or an error says why not."""

import hashlib
import io
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imaged.model.appliance import GREETING, Begin, End, Failed, Kind, frame
from imaged.model.codec import to_json
from imaged.model.errors import BadInput, CommandFailed, ImagedError, NotFound
from imaged.origins.diskfile import Channel, receive, recognize, unpack
from imaged.planning.disk_format import DiskFormat, DiskImage

HELLO = frame(Kind.SAID, GREETING.encode())


def packed(names: tuple[str, ...] = ("a", "b/c")) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(name), 0o640
            archive.addfile(entry, io.BytesIO(name.encode()))
    return target.getvalue()


def stream(archive: bytes, *, sent: int | None = None, claimed: int | None = None, wrong: bool = False) -> bytes:
    """What an appliance sends: all of ``archive`` or its first ``sent`` bytes, then the end mark of all of it."""
    pieces = [archive[:sent][at : at + 700] for at in range(0, len(archive[:sent]), 700)]
    digest = "0" * 64 if wrong else hashlib.sha256(archive).hexdigest()
    return b"".join((
        HELLO, frame(Kind.SAID, b"partition 1: ext4, 9 MiB"), frame(Kind.BEGIN, to_json(Begin(9, ("/",))).encode()),
        *(frame(Kind.DATA, piece) for piece in pieces),
        frame(Kind.END, to_json(End(claimed or len(archive), digest)).encode()),
    ))  # fmt: skip


@contextmanager
def channel(sent: bytes, tmp_path: Path) -> Iterator[Channel]:
    """A channel on whose other side ``sent`` is written and then hung up. The guest is a process that is alive."""
    ours, theirs = socket.socketpair()
    console = tmp_path / "console"
    console.write_text("booting\n\x1b[1mKernel panic\r\n")

    def write() -> None:
        with theirs:
            try:
                theirs.sendall(sent)
            except OSError:
                return  # the reader has seen enough

    writer = threading.Thread(target=write)
    writer.start()
    guest = subprocess.Popen(("cat",), stdin=subprocess.PIPE)
    try:
        with ours:
            yield Channel(ours, guest, console)
    finally:
        guest.kill()
        guest.communicate()
        writer.join()


def test_a_whole_archive_is_unpacked_and_said(tmp_path: Path) -> None:
    tree, said = tmp_path / "tree", list[str]()
    tree.mkdir()
    with channel(stream(packed()), tmp_path) as incoming:
        receive(incoming, tree, said.append)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == ["a", "b", "b/c"]
    assert (tree / "a").read_text() == "a"
    assert (tree / "a").stat().st_mode & 0o777 == 0o640
    assert said[0] == "partition 1: ext4, 9 MiB"
    assert said[-1].startswith("copied 10 KiB, sha256 ")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "the appliance did not start"),
        (frame(Kind.SAID, b"another"), "the appliance did not start"),
        (HELLO, "the appliance ended before it sent anything"),
        (HELLO + frame(Kind.FAILED, to_json(Failed("this is a Windows disk")).encode()), "this is a Windows disk"),
        (HELLO + frame(Kind.END, to_json(End(0, "")).encode()), "the appliance sent END out of turn"),
        (stream(packed())[:-120], "the appliance ended before it had sent everything"),
        (stream(packed())[:2000], "the appliance ended before it had sent everything"),
        (stream(packed(), sent=700), "what arrived is not what the appliance sent"),
        (stream(packed(), wrong=True), "what arrived is not what the appliance sent"),
        (stream(packed(), claimed=1), "what arrived is not what the appliance sent"),
        (stream(b"no archive" * 2000), "ended with 2"),
        (stream(b""), "ended with 2"),
    ],
)
def test_less_than_a_whole_archive_is_never_taken_for_one(tmp_path: Path, sent: bytes, reason: str) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(ImagedError) as caught, channel(sent, tmp_path) as incoming:
        receive(incoming, tmp_path / "tree", lambda _: None)
    assert caught.value.what == reason


def test_the_consoles_last_words_are_shown_when_the_machine_dies(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught, channel(HELLO, tmp_path) as incoming:
        receive(incoming, tmp_path, lambda _: None)
    assert caught.value.hint == "booting\n  [1mKernel panic"


def test_a_disk_that_another_machine_writes_to_is_told_as_such(tmp_path: Path) -> None:
    with channel(b"", tmp_path) as incoming:
        incoming.console.write_text(
            'qemu-system-x86_64: -blockdev {}: Failed to get shared "write" lock\nIs another ...\n'
        )
        with pytest.raises(CommandFailed) as caught:
            receive(incoming, tmp_path, lambda _: None)
    assert caught.value.what == "the disk is in use"


def test_nothing_is_written_outside_the_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with pytest.raises(CommandFailed), channel(stream(packed(("../outside",))), tmp_path) as incoming:
        receive(incoming, tree, lambda _: None)
    assert not (tmp_path / "outside").exists()


def test_a_disk_is_known_by_its_content(tmp_path: Path) -> None:
    raw = tmp_path / "disk.qcow2"
    with raw.open("wb") as file:
        file.truncate(3 << 20)
    assert recognize(raw) == DiskImage(DiskFormat.RAW, 3 << 20)


def _directory(path: Path) -> None:
    path.mkdir()


def _descriptor(path: Path) -> None:
    path.write_text("# Disk DescriptorFile\n")


@pytest.mark.parametrize(
    ("make", "kind", "reason"),
    [
        (lambda _: None, NotFound, "No such file or directory"),
        (_directory, NotFound, "Is a directory"),
        (_descriptor, BadInput, "is a vmdk in several files"),
    ],
)
def test_what_is_no_disk_is_named(
    tmp_path: Path, make: Callable[[Path], None], kind: type[ImagedError], reason: str
) -> None:
    make(tmp_path / "d.vmdk")
    with pytest.raises(kind) as caught:
        recognize(tmp_path / "d.vmdk")
    assert (caught.value.what, caught.value.where) == (reason, str(tmp_path / "d.vmdk"))


@pytest.mark.parametrize("partition", ["2 rdinit=/bin/sh", "a\nb", "'", "x" * 201, "ü"])
def test_a_partition_is_one_word_for_the_kernel(tmp_path: Path, partition: str) -> None:
    with pytest.raises(BadInput, match="is no partition"):
        unpack(tmp_path / "disk", tmp_path, partition=partition, boot=tmp_path, on_line=lambda _: None)


def test_without_a_ramdisk_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(os.urandom(4096))
    with pytest.raises(NotFound, match="there is no boot ramdisk") as caught:
        unpack(disk, tmp_path, partition=None, boot=tmp_path / "boot", on_line=lambda _: None)
    assert caught.value.hint == "Build one: imaged mkramdisk"
