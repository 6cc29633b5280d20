"""A reader that is sent what a sheet says has what there is, whatever happened in between."""

from hypothesis import given
from hypothesis import strategies as st

from imaged.web.sheet import Block, Row, Sheet


def block(name, value=0, **rows):
    return Block(name, "b", value, tuple(Row(name + key, "r", each) for key, each in rows.items()))


A, B = block("a", x=1, y=2), block("b")


def test_what_is_sent():
    sheet = Sheet()
    first = sheet.turn([A, B])
    assert (first.whole, first.changes) == (True, (A, B))
    for now, changes in (
        ([A, B], ()),
        ([block("a", x=1, y=3), B], (Row("ay", "r", 3),)),
        ([block("a", 1, x=1, y=3), B], (Row("a-head", "b_head", 1),)),
        ([block("a", 2, x=2, y=3), block("b", 5)], (Row("a-head", "b_head", 2), Row("ax", "r", 2), block("b", 5))),
        ([block("a", 2, y=3, x=2), block("b", 5)], (block("a", 2, y=3, x=2),)),
        ([block("a", 2), block("b", 5)], (block("a", 2),)),
    ):
        turn = sheet.turn(now)
        assert (turn.whole, turn.changes) == (False, changes)
    assert sheet.turn([block("b", 5)]).whole


_pages = st.lists(
    st.builds(
        block, st.sampled_from("ab"), st.integers(0, 2), x=st.integers(0, 2), y=st.integers(0, 2)
    ) | st.builds(block, st.sampled_from("cd"), st.integers(0, 2), y=st.integers(0, 2)),
    unique_by=lambda each: each.id, max_size=3,
)  # fmt: skip


@given(st.lists(_pages, min_size=1, max_size=6))
def test_two_readers_that_have_the_same_have_the_same_mark(pages):
    old, new = Sheet(), Sheet()
    for page in pages:
        old.turn(page)
    new.turn(pages[-1])
    assert old.mark == new.mark
    other = Sheet()
    other.turn([*pages[-1], block("more")])
    assert other.mark != new.mark


@given(st.lists(_pages, min_size=1, max_size=6))
def test_a_reader_who_takes_what_is_sent_has_what_there_is(pages):
    sheet, has = Sheet(), {}
    for page in pages:
        turn = sheet.turn(page)
        if turn.whole:
            has = {}
        for change in turn.changes:
            if isinstance(change, Block):
                has[change.id] = {"": change.value, **{row.id: row.value for row in change.rows}}
            elif change.kind == "b_head":
                has[change.id.removesuffix("-head")][""] = change.value
            else:
                has[change.id[0]][change.id] = change.value
        assert has == {each.id: {"": each.value, **{row.id: row.value for row in each.rows}} for each in page}
