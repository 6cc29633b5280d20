"""The initramfs format, judged by the real cpio program."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.ramdisk.cpio import Entry, archive, padded, with_parents

needs_cpio = pytest.mark.skipif(shutil.which("cpio") is None, reason="needs the cpio program")


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 0), (1, 4), (3, 4), (4, 4), (5, 8), (44464459, 44464460), (44464460, 44464460)]
)
def test_padding(length: int, expected: int) -> None:
    assert len(padded(bytes(length))) == expected


def test_missing_directories_come_before_what_is_in_them() -> None:
    entries = with_parents([Entry.file("usr/lib/imaged/a.py", b"1"), Entry.directory("usr", 0o700)])
    assert [entry.path for entry in entries] == ["usr", "usr/lib", "usr/lib/imaged", "usr/lib/imaged/a.py"]
    assert oct(entries[0].mode) == "0o40700"
    assert oct(entries[1].mode) == "0o40755"


@needs_cpio
def test_cpio_reads_what_we_write(tmp_path: Path) -> None:
    blob = archive(
        [
            Entry.file("etc/node name", b"node01\n", 0o640),
            Entry.file("empty", b""),
            Entry.file("odd", bytes(range(7))),
            Entry.link("bin/sh", "busybox"),
        ]
    )
    subprocess.run(["cpio", "-idm", "--quiet"], input=blob, cwd=tmp_path, check=True)
    assert (tmp_path / "etc/node name").read_bytes() == b"node01\n"
    assert (tmp_path / "etc/node name").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "empty").read_bytes() == b""
    assert (tmp_path / "odd").read_bytes() == bytes(range(7))
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")


@needs_cpio
def test_an_archive_may_follow_another(tmp_path: Path) -> None:
    """As the kernel reads them: each from where the last ended, at a multiple of four."""
    first, second = archive([Entry.file("a", b"1"), Entry.file("b", b"1")]), archive([Entry.file("b", b"22")])
    assert len(first) % 4 == 0
    for blob in (first, second):
        subprocess.run(["cpio", "-idmu", "--quiet"], input=blob, cwd=tmp_path, check=True)
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"1", b"22")


NAMES = st.from_regex(r"[a-z]{1,12}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=6))
def test_the_same_entries_give_the_same_bytes_in_any_order(files: dict[str, bytes]) -> None:
    entries = [Entry.file(name, content) for name, content in files.items()]
    assert archive(entries) == archive(reversed(entries))
    assert len(archive(entries)) % 4 == 0
