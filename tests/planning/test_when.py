"""Conditions of layouts: what they say, when they hold, and where one that cannot be read goes wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.planning import when
from imaged.planning.when import Comparison, Condition, Facts, Not, Op, Subject, disks_asked, holds, may_hold, parse

_FACTS = Facts("uefi", "x86_64", 8 * 2**30, {"os": 2, "data": 0}, {"os": 2**40})
_UEFI = Comparison(Subject.FIRMWARE, "", Op.EQ, "uefi")
_AMD = Comparison(Subject.ARCH, "", Op.EQ, "x86_64")
_SMALL = Comparison(Subject.RAM, "", Op.LT, 8 * 2**30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("firmware == uefi", _UEFI),
        ("  arch==amd64 ", _AMD),
        ("ram < 8G", _SMALL),
        ("count(data-1) >= 2", Comparison(Subject.COUNT, "data-1", Op.GE, 2)),
        ("size ( os ) != 1.5T", Comparison(Subject.SIZE, "os", Op.NE, 3 * 2**39)),
        ("firmware == uefi or arch == x86_64 and ram < 8G", when.Any((_UEFI, when.All((_AMD, _SMALL))))),
        ("(firmware == uefi or arch == x86_64) and ram < 8G", when.All((when.Any((_UEFI, _AMD)), _SMALL))),
        ("not firmware == uefi and ram < 8G", when.All((Not(_UEFI), _SMALL))),
        ("not (not firmware == uefi)", Not(Not(_UEFI))),
    ],
)
def test_what_it_says(text: str, expected: Condition) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("firmware == uefi", True),
        ("firmware != uefi", False),
        ("arch == amd64", True),
        ("arch == aarch64", False),
        ("ram < 8G", False),
        ("ram <= 8G", True),
        ("ram > 8G", False),
        ("ram >= 8G", True),
        ("ram == 8G", True),
        ("count(os) >= 2", True),
        ("count(data) > 0", False),
        ("count(nowhere) == 0", True),
        ("size(os) >= 1T", True),
        ("size(os) > 1T", False),
        ("size(data) < 1T", False),
        ("size(data) >= 1T", False),
        ("not size(data) >= 1T", True),
        ("ram < 8G or arch == x86_64", True),
        ("ram < 8G and arch == x86_64", False),
    ],
)
def test_when_it_holds(text: str, expected: bool) -> None:
    assert holds(parse(text), _FACTS) is expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "column 1: expected firmware, arch, ram, count(...) or size(...), nothing follows"),
        ("cpu > 2", "column 1: expected firmware, arch, ram, count(...) or size(...), 'cpu' is there"),
        ("arch", "column 5: expected == !=, nothing follows"),
        ("arch < x86_64", "column 6: expected == !=, '<' is there"),
        ("arch = x86_64", "column 6: expected == !=, '=' is there"),
        ("arch == x86-64", "column 9: expected one of x86_64, aarch64,"),
        ("firmware == efi", "column 13: expected bios or uefi, 'efi' is there"),
        ("ram < lots", "column 7: expected a size such as 8G, 'lots' is there"),
        ("ram < 8 G", "column 9: expected 'and', 'or' or the end, 'G' is there"),
        ("count >= 2", "column 7: expected '(' and the id of a disk entry, '>=' is there"),
        ("count() >= 2", "column 7: expected the id of a disk entry, ')' is there"),
        ("count(a b) >= 2", "column 9: expected ')', 'b' is there"),
        ("count(a) >= 2G", "column 13: expected a number of disks, '2G' is there"),
        ("count(a) >= -1", "column 13: expected a number of disks, '-1' is there"),
        ("(ram < 8G", "column 10: expected 'and', 'or' or ')', nothing follows"),
        ("ram < 8G)", "column 9: expected 'and', 'or' or the end, ')' is there"),
        ("ram < 8G and", "column 13: expected firmware,"),
        ("ram < 8G && arch == x86_64", "column 10: expected 'and', 'or' or the end, '&' is there"),
        ("__import__('os')", "column 1: expected firmware,"),
        ("(" * 5000, "column 22: more than 20 brackets and 'not' within each other"),
        ("not " * 5000, "more than 20 brackets"),
    ],
)
def test_where_it_goes_wrong(text: str, fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.what.startswith(fault) or fault in caught.value.what


def test_which_disks_it_asks_about() -> None:
    found = disks_asked(parse("count(a) > 1 and not (size(b) > 1T or ram < 8G) or count(a) == 0"))
    assert list(found) == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("text", "counts", "expected"),
    [
        ("count(a) >= 2", {"a": 2}, True),
        ("count(a) >= 2", {"a": 1}, False),
        ("count(a) >= 2", {}, True),
        ("not count(a) >= 2", {"a": 2}, False),
        ("not ram < 8G", {}, True),
        ("size(a) > 1T", {"a": 0}, False),
        ("size(a) > 1T", {"a": 1}, True),
        ("count(a) > 0 and arch == x86_64", {"a": 0}, False),
        ("count(a) > 0 and arch == x86_64", {"a": 1}, True),
        ("count(a) > 0 or arch == x86_64", {"a": 0}, True),
        ("count(a) > 0 or count(b) > 0", {"a": 0, "b": 0}, False),
        ("not (count(a) == 0 or ram < 8G)", {"a": 0}, False),
    ],
)
def test_whether_it_could_hold_anywhere(text: str, counts: dict[str, int], expected: bool) -> None:
    assert may_hold(parse(text), counts) is expected


_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
_OPS = st.sampled_from(Op)
_EQUAL = st.sampled_from((Op.EQ, Op.NE))
_SIZES = st.integers(0, 2**60)
_COMPARISONS = st.one_of(
    st.builds(Comparison, st.just(Subject.FIRMWARE), st.just(""), _EQUAL, st.sampled_from(("bios", "uefi"))),
    st.builds(Comparison, st.just(Subject.ARCH), st.just(""), _EQUAL, st.sampled_from(("x86_64", "aarch64"))),
    st.builds(Comparison, st.just(Subject.RAM), st.just(""), _OPS, _SIZES),
    st.builds(Comparison, st.just(Subject.COUNT), _IDS, _OPS, st.integers(0, 9999)),
    st.builds(Comparison, st.just(Subject.SIZE), _IDS, _OPS, _SIZES),
)
_CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    _COMPARISONS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(when.All, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(when.Any, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


@given(_CONDITIONS)
@settings(deadline=None)
def test_what_is_shown_reads_back_the_same(condition: Condition) -> None:
    assert parse(str(condition)) == condition
    assert holds(condition, _FACTS) is not holds(Not(condition), _FACTS)


_PIECES = st.sampled_from(
    ("firmware", "arch", "ram", "count(os)", "size(os)", "(", ")", "==", "<", ">=", "and", "or", "not", "uefi", "8G",
     "2", "x86_64", "=", "!", "count", "²")
)  # fmt: skip


@given(st.text() | st.lists(_PIECES, max_size=12).map(" ".join))
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_condition_or_bad_input(text: str) -> None:
    try:
        condition = parse(text)
    except BadInput as error:
        assert error.what.startswith("column ")
        return
    assert isinstance(holds(condition, _FACTS), bool)
