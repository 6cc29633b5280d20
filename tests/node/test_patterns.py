"""Patterns of paths: a table, and a slow matcher that does what the words say, letter by letter."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.planning.protect import STATIC
from installer.node.patterns import chooser, matcher

TABLE = {
    "/etc/fstab": (["etc/fstab", "etc/fstab/below"], ["etc/fstab.d", "x/etc/fstab", "etc"]),
    "/home/": (["home/a", "home/a/b", "home/.x"], ["home", "homes/a"]),
    "/etc/ssh/ssh_host_*": (["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_"], ["etc/ssh/sshd_config"]),
    "/boot/*.cfg": (["boot/grub.cfg"], ["boot/grub/grub.cfg"]),
    "/boot/grub*/**": (["boot/grub/x", "boot/grub2/x/y"], ["boot/grub", "boot/grub2"]),
    "/var/lib/dhcp*/": (["var/lib/dhcpcd/lease"], ["var/lib/dhcpcd"]),
    "/a/**/b": (["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "x/a/b"]),
    "/**/.cache": ([".cache", "root/.cache", "root/.cache/x"], ["root/x.cache"]),
    "/a?c": (["abc"], ["a/c", "ac", "abbc"]),
    "/tty[0-9]": (["tty3"], ["tty", "ttyS", "tty33"]),
    "/tty[!0-9]": (["ttyS"], ["tty3", "tty/"]),
    "/x[^a-c]": (["xd"], ["xb"]),
    "/x[]-]": (["x]", "x-"], ["xa"]),
    "/x[a-]": (["xa", "x-"], ["xb"]),
    r"/x\*": (["x*"], ["xa", r"x\a"]),
    r"/x[\]]y": (["x]y"], ["xay"]),
    "/ü?": (["üx"], ["u"]),
    "/new\nline*": (["new\nline\n"], ["new"]),
    "/a.b+(c)|^$": (["a.b+(c)|^$"], ["axb+(c)|^$", "a.b"]),
    # What people write by mistake is a pattern that covers little, never a fault on two thousand nodes.
    "/a[z-a]b": ([], ["azb", "aab", "ab"]),
    "/a[!]b": (["a[!]b"], ["acb"]),
    "/x[": (["x["], ["x"]),
    "/x\\": (["x\\"], ["x"]),
    "/x[a&&b--c||~~[]": (["xa", "x&", "x["], ["xz"]),
}


@pytest.mark.parametrize(("pattern", "covered", "free"), [(key, *value) for key, value in TABLE.items()])
@pytest.mark.filterwarnings("error")  # `re` warns of sets that a later Python may read otherwise
def test_what_a_pattern_covers(pattern: str, covered: list[str], free: list[str]) -> None:
    found = matcher([pattern])
    assert [name for name in covered if not found(os.fsencode(name))] == []
    assert [name for name in free if found(os.fsencode(name))] == []


def test_the_first_pattern_that_covers_a_path_is_named() -> None:
    which = chooser(["/a/*.x", "/a/", "/a/b.x"])
    assert [which(path) for path in (b"a/b.x", b"a/c", b"a", b"b")] == [0, 1, None, None]
    assert chooser([])(b"a") is None


def test_names_that_are_no_text() -> None:
    assert matcher(["/x/\udcff?"])(b"x/\xff\xfe")


def test_the_static_list_leaves_the_system_to_the_image() -> None:
    which = chooser(each.pattern for each in STATIC)
    kept = [b"etc/machine-id", b"etc/ssh/ssh_host_ed25519_key", b"var/log/syslog", b"boot/grub/grub.cfg", b"home/a/b"]
    image = [b"etc", b"etc/passwd", b"usr/bin/env", b"boot/vmlinuz-6.1.0-9-amd64", b"var/log", b"home", b"boot/grub"]
    assert [path for path in kept if which(path) is None] == []
    assert [path for path in image if which(path) is not None] == []


def obvious(pattern: str, path: str) -> bool:
    """Whether the pattern covers the path or a directory on the way to it."""
    parts = path.split("/")
    whole = len(parts)
    last = whole - 1 if pattern.endswith("/") else whole
    return any(same(pattern.strip("/"), "/".join(parts[:upto])) for upto in range(1, last + 1))


def same(pattern: str, text: str, *, first: bool = True) -> bool:
    """Letter by letter, for patterns of plain letters, ``/``, ``?``, ``*`` and ``**``."""
    if first and pattern.startswith("**/") and same(pattern[3:], text, first=False):
        return True
    if pattern.startswith("/**/") and text.startswith("/") and same(pattern[4:], text[1:], first=False):
        return True
    if pattern.startswith("**"):
        return any(same(pattern[2:], text[at:], first=False) for at in range(len(text) + 1))
    if pattern.startswith("*"):
        upto = text.find("/") if "/" in text else len(text)
        return any(same(pattern[1:], text[at:], first=False) for at in range(upto + 1))
    if not pattern or not text:
        return pattern == text
    fits = text[0] != "/" if pattern[0] == "?" else text[0] == pattern[0]
    return fits and same(pattern[1:], text[1:], first=False)


parts = st.text(st.sampled_from("ab"), min_size=1, max_size=2)
wild = (
    st.lists(st.sampled_from(["a", "b", "?", "*"]), min_size=1, max_size=3)
    .map("".join)
    .map(lambda text: text.replace("**", "*"))
)
patterns = st.tuples(
    st.lists(st.one_of(wild, st.just("**")), min_size=1, max_size=4).map("/".join), st.sampled_from(["", "/"])
).map(lambda pair: "/" + pair[0] + pair[1])
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(patterns, paths)
def test_the_compiled_form_agrees_with_the_obvious_one(pattern: str, path: str) -> None:
    assert matcher([pattern])(path.encode()) is obvious(pattern, path)


@given(
    st.lists(st.text(st.sampled_from(["/", "a", "[", "]", "!", "^", "-", "\\", "*", "?", "z", "&", "|", "\n", "ü"])))
)
@pytest.mark.filterwarnings("error")
def test_any_text_is_a_pattern(texts: list[str]) -> None:
    which = chooser(texts)
    for path in (b"a", b"a/z", b"[", b"\n"):
        found = which(path)
        assert found is None or matcher([texts[found]])(path)
