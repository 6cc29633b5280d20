"""Lists of protected paths: what is read, what is refused, who says why."""

import pytest

from imaged.model.errors import BadInput
from imaged.model.update import Protected
from imaged.planning.protect import STATIC, parse, protected

TEXTS = [
    ("", ()),
    ("/a\n", (Protected("/a", "listed in x"),)),
    ("# keys of the app\n/etc/app/*.key\n/etc/app/d/\n\n/b  \n",
     (Protected("/etc/app/*.key", "keys of the app"), Protected("/etc/app/d/", "keys of the app"),
      Protected("/b", "listed in x"))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), TEXTS)
def test_what_a_list_says(text: str, wanted: tuple[Protected, ...]) -> None:
    assert tuple(parse(text, "x")) == wanted


BAD = ["etc/passwd", "*/.journal", "/etc/../home", "/", "/*", "/**", "//", "/a\0b"]


@pytest.mark.parametrize("pattern", BAD)
def test_a_pattern_that_would_protect_nothing_or_everything_names_its_line(pattern: str) -> None:
    with pytest.raises(BadInput) as raised:
        tuple(parse(f"# why\n/fine\n{pattern}\n", "group/x.protect"))
    assert raised.value.where == "group/x.protect, line 3"


def test_our_own_list_would_pass_as_one_and_is_without_doubles() -> None:
    patterns = [each.pattern for each in STATIC]
    assert len(set(patterns)) == len(patterns)
    assert [each.pattern for each in parse("\n".join(patterns), "x")] == patterns


# As a Debian 12 node has them a few minutes after its install, when the image has none: an update deleted them once.
@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/systemd/linger",
        "/var/lib/systemd/timers/stamp-fstrim.timer",
        "/var/lib/systemd/timesync/clock",
        "/var/lib/systemd/random-seed",
    ],
)
def test_what_systemd_keeps_on_a_node_is_left_alone(path: str) -> None:
    assert any(path == each.pattern or path.startswith(f"{each.pattern}/") for each in STATIC)


def test_a_later_list_gives_the_reason() -> None:
    both = protected((("all", "# ours\n/home/\n/opt/x"), ("node/n1", "# mine\n/opt/x\n")))
    reasons = {each.pattern: each.reason for each in both}
    assert (reasons["/home/"], reasons["/opt/x"]) == ("ours", "mine")
    assert len(both) == len(STATIC) + 1
