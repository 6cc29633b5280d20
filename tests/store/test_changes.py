"""What counts as different."""

from pathlib import Path

import pytest
from attrs import evolve

from imaged.store import seal
from imaged.store.changes import Changes, between
from imaged.store.manifest import Entry, Kind

FILE = Entry("etc/motd", Kind.FILE, 0o644, 0, 0, time=5, size=2, sha256="aa")
DIRECTORY = Entry("etc", Kind.DIRECTORY, 0o755, 0, 0, time=5)
LINK = Entry("etc/l", Kind.LINK, 0o777, 0, 0, time=5, target="motd")
BEFORE = (DIRECTORY, LINK, FILE)
SAME = Changes()
FILE_CHANGED = Changes(changed=("etc/motd",))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, SAME),
        ((evolve(DIRECTORY, time=6), evolve(LINK, time=6), FILE), SAME),
        ((DIRECTORY, LINK, evolve(FILE, time=6)), FILE_CHANGED),
        ((DIRECTORY, LINK, evolve(FILE, sha256="bb")), FILE_CHANGED),
        ((DIRECTORY, LINK, evolve(FILE, sha256="")), SAME),
        ((DIRECTORY, LINK, evolve(FILE, mode=0o600)), FILE_CHANGED),
        ((DIRECTORY, LINK, evolve(FILE, uid=7)), FILE_CHANGED),
        ((DIRECTORY, LINK, evolve(FILE, xattrs=(("user.a", b"1"),))), FILE_CHANGED),
        ((evolve(DIRECTORY, mode=0o700), LINK, FILE), Changes(changed=("etc",))),
        ((DIRECTORY, evolve(LINK, target="issue"), FILE), Changes(changed=("etc/l",))),
        ((DIRECTORY, FILE), Changes(deleted=("etc/l",))),
        ((*BEFORE, evolve(FILE, path="etc/new")), Changes(added=("etc/new",))),
        ((), Changes(deleted=("etc", "etc/l", "etc/motd"))),
    ],
)
def test_between(after: tuple[Entry, ...], expected: Changes) -> None:
    assert between(BEFORE, after) == expected
    assert bool(between(BEFORE, after)) == bool(expected.added or expected.changed or expected.deleted)


def test_a_walk_sees_what_sealing_sees_without_reading_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "d/g").hardlink_to(tmp_path / "d/f")
    (tmp_path / "d/l").symlink_to("f")
    (tmp_path / "d/f").chmod(0o000)
    walked = tuple(seal.walk(tmp_path))
    sealed = seal.read_tree(tmp_path).entries
    assert walked == tuple(evolve(entry, sha256="", group=0) for entry in sealed)
    assert not between(sealed, walked)
