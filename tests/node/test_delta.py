"""Differences of manifests on the node, against the server's own that makes them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.planning.delta import delta
from installer.node.delta import Misfit, apply
from installer.node.stamps import Stamps

LINES = st.lists(st.sampled_from([b"./a\n", b"./a/b\n", b"./c\n", b"./d x\n", b"./e\n"]), unique=True).map(sorted)


def proven(lines: int) -> Stamps:
    stamps = Stamps.blank(lines)
    stamps.values[:] = stamps.values.__class__("Q", range(1, 2 * lines + 1))
    return stamps


@given(LINES, LINES)
def test_what_the_server_makes_gives_the_new_manifest(old: list[bytes], new: list[bytes]) -> None:
    made, into = b"".join(delta(old, new)).splitlines(keepends=True), io.BytesIO()
    stamps = apply(made, io.BytesIO(b"".join(old)), into, proven(len(old)))
    assert into.getvalue() == b"".join(new) and len(stamps) == len(new)
    for number, line in enumerate(new):  # a line that both have keeps what was proven of it, another has none
        expected = 2 * old.index(line) + 1 if line in old else 0
        assert stamps.values[2 * number] in (expected, 0)
        assert line in old or not stamps.known(number)


@pytest.mark.parametrize("line", [b"=3\n", b"-3\n", b"=x\n", b"?1\n", b"=-1\n", b"\n", b"\xff\n"])
def test_what_does_not_fit(line: bytes) -> None:
    with pytest.raises(Misfit):
        apply([line], io.BytesIO(b"a\nb\n"), io.BytesIO(), proven(2))
