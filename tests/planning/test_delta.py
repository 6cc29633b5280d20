"""Deltas of manifests: applied to the old one they give the new one, whatever went in; and they are small."""

import array
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imaged.planning.delta import delta
from installer.node.delta import apply
from installer.node.stamps import Stamps

HEAD = [b"#mtree\n", b"/set type=file uid=0 gid=0 nlink=1\n"]


def applied(old: list[bytes], lines: list[bytes]) -> list[bytes]:
    """What a node does with a delta."""
    result, at = [], 0
    for line in lines:
        sign, rest = line[:1], line[1:]
        if sign == b"+":
            result.append(rest)
        elif sign == b"=":
            assert at + int(rest) <= len(old)
            result += old[at : at + int(rest)]
            at += int(rest)
        else:
            assert sign == b"-"
            at += int(rest)
    assert at == len(old), "every old line is accounted for"
    return result


def manifest(paths: dict[bytes, int]) -> list[bytes]:
    """In the order that manifests have: of the names themselves, not of how they are written."""
    ordered = sorted(paths, key=lambda path: path.replace(b"/", b"\0"))
    return HEAD + [b"%s mode=%04o time=1.0\n" % (written(path), paths[path]) for path in ordered]


def written(path: bytes) -> bytes:
    return b"".join(b"%c" % byte if 0x20 < byte < 0x7F and byte != 0x5C else b"\\%03o" % byte for byte in path)


names = st.binary(min_size=1, max_size=3).filter(lambda raw: b"/" not in raw and b"\0" not in raw)
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: b"./" + b"/".join(parts))
manifests = st.dictionaries(paths, st.integers(0, 3), max_size=30).map(manifest)
lines = st.lists(st.binary(max_size=6).map(lambda raw: raw.replace(b"\n", b"") + b"\n"), max_size=12)


@given(manifests, manifests)
def test_a_delta_applied_to_the_old_manifest_gives_the_new_one(old: list[bytes], new: list[bytes]) -> None:
    assert applied(old, list(delta(old, new))) == new


@given(manifests, manifests)
@example(manifest({b"./\n": 0}), manifest({b"./\n": 0, b"./!": 0}))
def test_a_node_comes_to_the_same(old: list[bytes], new: list[bytes]) -> None:
    """The code that runs there, which shares none with ours: lines, and a proof for exactly those that both have."""
    result = io.BytesIO()
    proven = Stamps(array.array("Q", (1 for _ in range(2 * len(old)))))
    stamps = apply(delta(old, new), io.BytesIO(b"".join(old)), result, proven)
    assert result.getvalue() == b"".join(new)
    assert list(stamps.values) == [proof for line in new for proof in ((1, 1) if line in old else (0, 0))]


@given(lines, lines)
@example([], [])
@example([b". a\n", b"./b 1\n"], [b"./b 1\n", b". a\n"])
def test_also_for_lines_in_no_order(old: list[bytes], new: list[bytes]) -> None:
    assert applied(old, list(delta(old, new))) == new


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [b"=1004\n"]),
        ({b"./d5/f50": 9}, [b"=554\n", b"+./d5/f50 mode=0011 time=1.0\n", b"-1\n", b"=449\n"]),
        ({b"./d5.new": 1}, [b"=604\n", b"+./d5.new mode=0001 time=1.0\n", b"=400\n"]),
        ({b"./d5": None}, [b"=503\n", b"-1\n", b"=500\n"]),
    ],
    ids=["equal", "one changed", "one added after a directory's contents", "one gone"],
)
def test_a_small_change_makes_a_small_delta(change: dict, expected: list[bytes]) -> None:
    old = {b".": 0} | {b"./d%d/f%02d" % (d, f): 0 for d in range(10) for f in range(100)} | {b"./d5": 0}
    new = {path: mode for path, mode in (old | change).items() if mode is not None}
    found = list(delta(manifest(old), manifest(new)))
    assert found == expected, found


def test_an_unchanged_file_is_not_sent_again_among_changes() -> None:
    """An escaped name and a name with a byte below ``/`` keep their places in the order."""
    old = manifest({b"./a": 0, b"./a/x": 0, b"./a\\040b": 0, b"./a-b": 0})
    new = manifest({b"./a": 0, b"./a/y": 0, b"./a\\040b": 0, b"./a-b": 0})
    assert [line for line in delta(old, new) if line.startswith(b"+")] == [b"+./a/y mode=0000 time=1.0\n"]
