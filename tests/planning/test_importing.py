"""What a source is, by its content; whether a tree could start."""

import io
import tarfile

import pytest

from imaged.model.errors import BadInput
from imaged.model.image import ImageFacts, Kernel
from imaged.planning.importing import (
    Holds,
    Kind,
    Packing,
    bytes_read,
    faults,
    holds,
    is_ended,
    is_loss,
    is_tar,
    is_trouble,
    packing,
    recognize,
    unpack_argv,
    without_program,
)


def _tar(format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as made:
        made.addfile(tarfile.TarInfo("ä" * 40))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x1f\x8b\x08", Packing.GZIP),
        (b"BZh91AY", Packing.BZIP2),
        (b"\xfd7zXZ\0\0", Packing.XZ),
        (b"\x28\xb5\x2f\xfd\0", Packing.ZSTD),
        (b"hsqs", Packing.NONE),
        (b"", Packing.NONE),
    ],
)
def test_how_a_file_is_compressed(head: bytes, expected: Packing) -> None:
    assert packing(head) is expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (_tar(tarfile.USTAR_FORMAT), Kind.TAR),
        (_tar(tarfile.GNU_FORMAT), Kind.TAR),
        (_tar(tarfile.PAX_FORMAT), Kind.TAR),
        (b"hsqs" + b"\0" * 92, Kind.SQUASHFS),
        (b"QFI\xfb\0\0\0\3", Kind.DISK),
        (b"KDMV\1\0\0\0", Kind.DISK),
        (b"\0" * 510 + b"\x55\xaa", Kind.DISK),
        (b"\0" * 4096 + b"EFI PART", Kind.DISK),
        (b"\0" * 1080 + b"\x53\xef" + b"\0" * 100, Kind.DISK),
        (b"\0" * 65600 + b"_BHRfS_M", Kind.DISK),
        (b"XFSB", Kind.DISK),
    ],
)
def test_what_a_file_is(head: bytes, expected: Kind) -> None:
    assert recognize(head) is expected


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "is empty"),
        (b"\0" * 1024, "nothing but zeros"),
        (b"#!/bin/sh\n", "nothing that an image"),
        (b"\0" * 510 + b"\x55\xaa" + b"\0" * 32257 + b"CD001", "a CD or DVD image"),  # a hybrid: it is both
        (b"\xed\xab\xee\xdb\3\0", "an RPM package"),
        (_tar(tarfile.USTAR_FORMAT)[:511], "nothing that an image"),
        (b"1" + _tar(tarfile.USTAR_FORMAT)[1:], "nothing that an image"),
    ],
)
def test_what_no_image_can_be_made_of(head: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        recognize(head)


def test_a_tar_archive_without_magic_is_known_by_its_checksum() -> None:
    header = bytearray(b"etc/".ljust(512, b"\0"))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert is_tar(bytes(header))
    header[0] += 1
    assert not is_tar(bytes(header))


@pytest.mark.parametrize(
    ("tail", "expected"), [(b"\0" * 1024, True), (b"\0" * 512, False), (b"x" + b"\0" * 1023, False), (b"", False)]
)
def test_the_end_mark_of_an_archive(tail: bytes, expected: bool) -> None:
    assert is_ended(tail) is expected


@pytest.mark.parametrize(
    ("directories", "others", "expected"),
    [
        (("etc", "usr"), ("bin", "lib"), Holds.ROOT),
        (("etc", "bin"), (), Holds.ROOT),
        (("etc", "usr", "blobs"), ("oci-layout", "index.json"), Holds.ROOT),
        (("usr",), ("etc",), Holds.OTHER),
        (("blobs",), ("oci-layout", "index.json", "manifest.json"), Holds.OCI),
        (("blobs",), ("oci-layout",), Holds.OTHER),
        (("a" * 64,), ("manifest.json", "repositories"), Holds.DOCKER),
        (("rootfs",), (), Holds.NESTED),
        ((), ("disk.raw",), Holds.FILE),
        ((), ("a", "b"), Holds.OTHER),
        ((), (), Holds.OTHER),
    ],
)
def test_what_a_directory_holds(directories: tuple[str, ...], others: tuple[str, ...], expected: Holds) -> None:
    assert holds(directories, others) is expected


_KERNEL = Kernel("6.1", "/boot/vmlinuz-6.1", "/boot/initrd.img-6.1")
_WHOLE = ImageFacts(arch="x86_64", kernels=(_KERNEL,), grub_platforms=("i386-pc",))


@pytest.mark.parametrize(
    ("facts", "init", "ssh", "said"),
    [
        (_WHOLE, True, True, ()),
        (_WHOLE, False, False, ("init", "ssh")),
        (ImageFacts(arch=""), True, True, ("kernel", "GRUB", "processor")),
    ],
)
def test_why_a_tree_would_not_start(facts: ImageFacts, init: bool, ssh: bool, said: tuple[str, ...]) -> None:
    found = faults(facts, init=init, ssh=ssh)
    assert len(found) == len(said)
    assert all(word in line for word, line in zip(said, found, strict=True))


def test_a_stream_is_uncompressed_as_its_kind_needs() -> None:
    assert unpack_argv(Packing.NONE) == ("cat",)
    assert unpack_argv(Packing.XZ) == ("xz", "-dc")
    assert unpack_argv(Packing.ZSTD) == ("zstd", "-dc", "--long=31")


@pytest.mark.parametrize(
    ("line", "read", "loss", "trouble"),
    [
        ("/.imaged-0a/tar: Read checkpoint 1000", 10_240_000, False, False),
        ("/.imaged-0a/tar: Unexpected EOF in archive", None, False, True),
        ("/.imaged-0a/tar: Exiting with failure status due to previous errors", None, False, False),
        ("/.imaged-0a/tar: etc/x: Cannot set 'user.a' extended attribute: Operation not supported", None, True, True),
        ("", None, False, False),
    ],
)
def test_what_a_line_of_tar_says(line: str, read: int | None, loss: bool, trouble: bool) -> None:
    assert (bytes_read(line), is_loss(line), is_trouble(line)) == (read, loss, trouble)
    assert "/.imaged" not in without_program(line)
