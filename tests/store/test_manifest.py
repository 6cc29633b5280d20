"""Manifests survive being written and read, whatever a path is called."""

import contextlib
import os
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.store.manifest import Entry, Kind, format_manifest, parse_manifest

FILE = Entry("etc/fstab", Kind.FILE, 0o644, 0, 0, 1_700_000_000_000_000_005, size=3, sha256="ab" * 32)
HEADER = "#mtree\n/set type=file uid=0 gid=0 nlink=1\n"


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (FILE, f"./etc/fstab mode=0644 time=1700000000.000000005 size=3 sha256digest={'ab' * 32}"),
        (Entry(".", Kind.DIRECTORY, 0o755, 0, 0, 0), ". type=dir mode=0755 time=0.000000000"),
        (Entry("tmp", Kind.DIRECTORY, 0o1777, 0, 7, 10**9), "./tmp type=dir mode=1777 gid=7 time=1.000000000"),
        (
            Entry("a b/ü#", Kind.LINK, 0o777, 5, 0, 1, target="x y"),
            r"./a\040b/\303\274\043 type=link mode=0777 uid=5 time=0.000000001 link=x\040y",
        ),
        (
            Entry("dev/null", Kind.CHARACTER, 0o666, 0, 0, 0, device=(1, 3)),
            "./dev/null type=char mode=0666 time=0.000000000 device=native,1,3",
        ),
        (
            evolve(FILE, path="f", time=0, links=2, group=1),
            f"./f mode=0644 time=0.000000000 size=3 sha256digest={'ab' * 32} nlink=2 inode=1",
        ),
        (
            evolve(FILE, path="f", time=0, xattrs=(("security.capability", b"\x01\x00"), ("user.a:b,c", b""))),
            f"./f mode=0644 time=0.000000000 size=3 sha256digest={'ab' * 32} "
            r"tags=xattr:security.capability:AQA=,xattr:user.a\072b\054c:",
        ),
        (evolve(FILE, path="old", time=-1), f"./old mode=0644 time=-1.999999999 size=3 sha256digest={'ab' * 32}"),
    ],
)
def test_one_line_per_path(entry: Entry, line: str) -> None:
    text = "".join(format_manifest([entry]))
    assert text == f"{HEADER}{line}\n"
    assert list(parse_manifest(text)) == [entry]


name = st.binary(min_size=1, max_size=20).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
numbers = st.integers(0, 2**32 - 1)
common = {
    "path": name,
    "mode": st.integers(0, 0o7777),
    "uid": numbers,
    "gid": numbers,
    "time": st.integers(-(10**18), 10**19),
}
xattrs = st.lists(st.tuples(name, st.binary(max_size=30)), max_size=3).map(tuple)
entries: Callable[..., st.SearchStrategy[Entry]] = st.one_of(
    st.builds(
        Entry,
        kind=st.just(Kind.FILE),
        size=st.integers(0, 2**62),
        sha256=st.text("0123456789abcdef"),
        xattrs=xattrs,
        **common,
    ),
    st.builds(Entry, kind=st.just(Kind.FILE), links=st.integers(2, 99), group=st.integers(1, 99), **common),
    st.builds(Entry, kind=st.just(Kind.LINK), target=name, **common),
    st.builds(Entry, kind=st.just(Kind.BLOCK), device=st.tuples(numbers, numbers), **common),
    st.builds(Entry, kind=st.sampled_from((Kind.DIRECTORY, Kind.FIFO, Kind.SOCKET)), xattrs=xattrs, **common),
)


@given(st.lists(entries, max_size=5))
def test_every_entry_comes_back_and_the_text_is_plain_ascii(given_entries: list[Entry]) -> None:
    wanted = [evolve(entry, path=entry.path.replace("/", "_") + "x") for entry in given_entries]
    text = "".join(format_manifest(wanted))
    assert text.isascii()
    assert list(parse_manifest(text)) == wanted


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("./f mode=0644", "line 3: the keyword 'time' is missing"),
        ("./f mode=0644 time=0.0", "line 3: the keyword 'size' is missing"),
        ("./f mode=rwx time=0.0", "line 3"),
        ("./f type=door mode=0644 time=0.0", "line 3: 'door' is not a valid Kind"),
        ("./f colour=red", "line 3: 'colour=red' is no keyword of ours"),
        ("./f mode", "line 3: 'mode' is no keyword of ours"),
        ("/etc/f type=dir mode=0755 time=0.0", "line 3: '/etc/f' does not begin with ./"),
        ("./d type=char mode=0600 time=0.0 device=native,1", "line 3: 'native,1' is no device"),
        ("./d type=dir mode=0600 time=0.0 tags=x", "line 3: 'x' is no tag of ours"),
        ("./d type=dir mode=0600 time=0.0 tags=xattr:a:%%%", "line 3"),
        (r"./d\777 type=dir mode=0600 time=0.0", "line 3"),
    ],
)
def test_a_damaged_line_is_named(line: str, fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        list(parse_manifest(f"{HEADER}{line}\n", where="m.mtree"))
    assert str(caught.value).startswith(f"m.mtree: {fault}")


@given(entries, st.integers(0, 300), st.integers(0, 300), st.text(max_size=20))
def test_damage_is_bad_input_or_harmless(entry: Entry, start: int, length: int, text: str) -> None:
    good = "".join(format_manifest([entry]))
    with contextlib.suppress(BadInput):
        list(parse_manifest(good[:start] + text + good[start + length :]))
