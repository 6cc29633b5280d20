"""What verify says of differences, to people and to the server."""

import pytest

from imaged.model.codec import from_plain
from imaged.model.outcome import Drift
from installer.node.compare import FIXUP, IMAGE, LOCAL, OVERRIDE, Difference
from installer.node.verify import drift_of, table

PLAN = {"image": "c@1", "serial": "s"}


def difference(path: bytes, owner: str, *what: str) -> Difference:
    return Difference(path, None, owner, frozenset(what), "file")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], ["in step with c@1"]),
        (
            [difference(b"b\n\xff", LOCAL, "extra"), difference(b"a", IMAGE, "size", "mode")],
            ["image: not as the version has it (1)", "  /a  (mode,size)", "local: nothing provides it (1)",
             "  /b", "\\xff  (extra)", "2 paths differ from c@1"],
        ),
        (
            [difference(b"a", OVERRIDE, "missing")],
            ["override: not as it was laid over the image (1)", "  /a  (missing)", "1 path differs from c@1"],
        ),
    ],
)  # fmt: skip
def test_for_people(found: list[Difference], expected: list[str]) -> None:
    assert table("c@1", found).splitlines() == expected


def test_many_are_counted() -> None:
    found = [difference(b"%03d" % number, FIXUP, "content") for number in range(250)]
    assert table("c@1", found).splitlines()[-2:] == ["  and 50 more", "250 paths differ from c@1"]
    drift = from_plain(drift_of(PLAN, found), Drift)
    assert (drift.image, drift.count, len(drift.differences)) == ("c@1", 250, 200)
