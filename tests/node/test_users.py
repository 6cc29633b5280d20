"""Users and groups merged by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer.node.users import Versions, merge

PASSWD, SHADOW, GROUP, SUBUID = b"etc/passwd", b"etc/shadow", b"etc/group", b"etc/subuid"
ROOT = b"root:x:0:0:root:/root:/bin/bash\n"
WEB = b"www:x:33:33:www:/var/www:/usr/sbin/nologin\n"
ALICE = b"alice:x:1000:1000::/home/alice:/bin/bash\n"


def one(path, base, mine, theirs):
    merged = merge({path: Versions(base, mine, theirs)})
    return merged.texts[path], merged.said


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "expected"),
    [
        (ROOT, ROOT, ROOT + WEB, ROOT + WEB),
        (ROOT, ROOT + ALICE, ROOT, ROOT + ALICE),
        (ROOT, ROOT + ALICE, ROOT + WEB, ROOT + ALICE + WEB),
        (ROOT + WEB, ROOT + WEB, ROOT, ROOT),
        (ROOT + WEB, ROOT + WEB + ALICE, ROOT, ROOT + ALICE),
        (ROOT + WEB, ROOT, ROOT + WEB + ALICE, ROOT + ALICE),
        (None, ROOT + ALICE, ROOT + WEB, ROOT + ALICE + WEB),
        (ROOT, None, ROOT + WEB, ROOT + WEB),
        (ROOT, ROOT + ALICE, None, ROOT + ALICE),
        (None, None, None, b""),
        (
            ROOT + WEB,
            ROOT + WEB.replace(b"/usr/sbin/nologin", b"/bin/sh"),
            ROOT + WEB.replace(b"/var/www", b"/srv/www"),
            ROOT + WEB.replace(b"/usr/sbin/nologin", b"/bin/sh").replace(b"/var/www", b"/srv/www"),
        ),
        (ROOT, ROOT + b"+::::::\n", ROOT + WEB, ROOT + WEB + b"+::::::\n"),
        (ROOT, ROOT + b"\xff\xfe:x:7:7:::\n", ROOT + WEB, ROOT + b"\xff\xfe:x:7:7:::\n" + WEB),
    ],
    ids=lambda value: None,
)
def test_whoever_changed_something_wins(base, mine, theirs, expected):
    assert one(PASSWD, base, mine, theirs) == (expected, ())


@pytest.mark.parametrize(
    ("path", "base", "mine", "theirs", "text", "word"),
    [
        (PASSWD, WEB, WEB.replace(b"www:", b"www2:", 0).replace(b"/var", b"/a"), WEB.replace(b"/var", b"/b"),
         WEB.replace(b"/var", b"/a"), "field 6"),
        (PASSWD, ROOT + WEB, ROOT + WEB.replace(b"/var", b"/a"), ROOT, ROOT + WEB.replace(b"/var", b"/a"),
         "dropped it"),
        (PASSWD, ROOT + WEB, ROOT, ROOT + WEB.replace(b"/var", b"/b"), ROOT, "the node dropped it"),
        (SUBUID, b"a:1:2\n", b"a:1:2\na:9:9\n", b"a:1:3\n", b"a:1:2\na:9:9\n", "both changed"),
        (PASSWD, WEB, b"www:short\n", WEB.replace(b"/var", b"/b"), b"www:short\n", "both changed"),
    ],
)  # fmt: skip
def test_a_conflict_is_the_node_s_and_is_said(path, base, mine, theirs, text, word):
    merged, said = one(path, base, mine, theirs)
    assert merged == text
    assert len(said) == 1 and word in said[0]


def test_members_of_a_group_are_a_set():
    base, mine, theirs = b"adm:x:4:a,b\n", b"adm:x:4:a,b,mine\n", b"adm:x:4:b,theirs\n"
    assert one(GROUP, base, mine, theirs) == (b"adm:x:4:b,mine,theirs\n", ())


def test_a_user_whose_password_was_set_here_stays_in_every_file():
    files = {
        PASSWD: Versions(ROOT + WEB, ROOT + WEB, ROOT),
        SHADOW: Versions(b"root:*:1::\nwww:*:1::\n", b"root:*:1::\nwww:$6$x:2::\n", b"root:*:1::\n"),
    }
    merged = merge(files)
    assert merged.texts == {PASSWD: ROOT + WEB, SHADOW: b"root:*:1::\nwww:$6$x:2::\n"}
    assert len(merged.said) == 2


def test_a_number_with_two_names_is_said():
    text, said = one(PASSWD, ROOT, ROOT + b"alice:x:998:998:::\n", ROOT + b"_chrony:x:998:998:::\n")
    assert text == ROOT + b"alice:x:998:998:::\n_chrony:x:998:998:::\n"
    assert said == ("etc/passwd: uid 998 is alice and _chrony",)


def test_numbers_that_had_two_names_before_are_nothing_new():
    toor = b"toor:x:0:0:::\n"
    assert one(PASSWD, ROOT + toor, ROOT + toor + ALICE, ROOT + toor + WEB)[1] == ()


NAMES = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
TEXTS = st.dictionaries(NAMES, st.tuples(*[st.sampled_from([b"0", b"1", b"2"])] * 3), max_size=5).map(
    lambda users: b"".join(name + b":" + b":".join(fields) + b"\n" for name, fields in users.items())
)


@given(TEXTS, TEXTS, TEXTS)
def test_merging_again_changes_nothing(base, mine, theirs):
    once, _ = one(PASSWD, base, mine, theirs)
    assert one(PASSWD, base, once, theirs)[0] == once  # a rerun after a crash
    assert one(PASSWD, theirs, once, theirs)[0] == once  # the next update


@given(TEXTS, TEXTS)
def test_one_side_alone_is_taken_as_it_is(base, other):
    assert one(PASSWD, base, base, other)[0] == other
    assert one(PASSWD, base, other, base)[0] == other


@given(TEXTS, TEXTS, TEXTS)
def test_no_name_of_the_node_alone_is_lost_and_none_comes_twice(base, mine, theirs):
    text, _ = one(PASSWD, base, mine, theirs)
    names = [line.partition(b":")[0] for line in text.splitlines()]
    before = [{line.partition(b":")[0] for line in each.splitlines()} for each in (base, mine, theirs)]
    assert len(names) == len(set(names))
    assert before[1] - before[0] - before[2] <= set(names)
