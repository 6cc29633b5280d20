"""A copy outlives whoever edits it, is entered by one at a time, and is never half."""

import shutil
from pathlib import Path

import pytest

from imaged.model.errors import BadInput, CommandFailed, Conflict
from imaged.model.image import Version
from imaged.store.edits import Copy, mark, working_copy
from imaged.store.images import Images


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """A store with two versions of ``compute``."""
    images = Images(tmp_path)
    for content in ("one", "two"):
        with images.working("compute") as working:
            (working.tree / "file").write_text(content)
            images.seal(working, origin="a test")
    return images


def visit(images: Images, number: int = 2, who: str = "alice", *, exactly: bool = False, fresh: bool = False) -> Copy:
    """Go in and leave the copy."""
    with working_copy(images, version(images, number), who, duplicate, exactly=exactly, fresh=fresh) as copy:
        return copy


def version(images: Images, number: int) -> Version:
    return next(each for each in images.versions("compute") if each.number == number)


def duplicate(tree: Path, at: Path) -> None:
    shutil.copytree(tree, at)


def test_a_new_copy_is_of_what_was_wanted_and_marked(images: Images) -> None:
    copy = visit(images)
    assert (copy.base.number, copy.kept) == (2, None)
    assert (copy.working.tree / "file").read_text() == "two"
    kept = mark(images, "compute")
    assert kept is not None
    assert (kept.base, kept.who) == (2, "alice")


def test_a_kept_copy_is_gone_on_with_and_its_base_stays(images: Images) -> None:
    (visit(images, 1).working.tree / "mine").touch()
    second = visit(images, 2, "bob")
    assert second.base.number == 1
    assert second.kept is not None
    assert second.kept.who == "alice"
    assert (second.working.tree / "mine").exists()
    third = visit(images, 1, exactly=True)
    assert third.kept is not None
    assert third.kept.who == "bob"


def test_exactly_another_version_than_the_kept_copys_is_refused(images: Images) -> None:
    visit(images, 1)
    with pytest.raises(Conflict, match="alice left a copy of version 1"):
        visit(images, 2, exactly=True)


def test_fresh_begins_anew(images: Images) -> None:
    (visit(images, 1).working.tree / "mine").touch()
    copy = visit(images, 2, fresh=True)
    assert (copy.kept, copy.base.number) == (None, 2)
    assert not (copy.working.tree / "mine").exists()


def test_one_at_a_time(images: Images) -> None:
    def inside() -> None:
        visit(images, who="bob")

    with (
        working_copy(images, version(images, 2), "alice", duplicate, exactly=False, fresh=False),
        pytest.raises(Conflict, match="alice has been editing it since 20"),
    ):
        inside()


def test_a_copy_that_was_not_finished_is_made_again(images: Images) -> None:
    def breaks(tree: Path, at: Path) -> None:
        at.mkdir()
        (at / "half").touch()
        raise CommandFailed("ended with 1")

    def begin() -> None:
        with working_copy(images, version(images, 2), "alice", breaks, exactly=False, fresh=False):
            pytest.fail("there is no copy to enter")

    with pytest.raises(CommandFailed):
        begin()
    assert mark(images, "compute") is None
    copy = visit(images)
    assert copy.kept is None
    assert sorted(path.name for path in copy.working.tree.iterdir()) == ["file"]


def test_an_exception_inside_keeps_the_copy(images: Images) -> None:
    with pytest.raises(KeyError), working_copy(images, version(images, 2), "a", duplicate, exactly=False, fresh=False):
        raise KeyError
    assert mark(images, "compute") is not None


def test_a_sealed_copy_is_a_version_and_no_copy_any_more(images: Images) -> None:
    copy = visit(images)
    (copy.working.tree / "file").write_text("three")
    sealed = images.seal(copy.working, origin="edit")
    assert sealed.number == 3
    assert (images.tree(sealed) / "file").read_text() == "three"
    assert mark(images, "compute") is None


def test_a_discarded_copy_is_gone(images: Images) -> None:
    visit(images).discard()
    assert mark(images, "compute") is None
    assert visit(images).kept is None


def test_builds_and_edits_do_not_meet(images: Images) -> None:
    visit(images)
    with images.working("compute") as working:
        (working.tree / "file").touch()
        images.seal(working, origin="a build")
    assert mark(images, "compute") is not None
    assert images.names() == ("compute",)
    assert [version.number for version in images.versions("compute")] == [1, 2, 3]


def test_a_kept_copy_of_a_version_that_is_gone_is_said(images: Images, tmp_path: Path) -> None:
    visit(images, 1)
    shutil.rmtree(tmp_path / "compute/1")
    with pytest.raises(Conflict, match="version 1, which is gone"):
        visit(images, 2)
    assert visit(images, 2, fresh=True).base.number == 2


@pytest.mark.parametrize("content", ["", "{}", '{"base": "3"}', "\xff"])
def test_a_damaged_mark_names_its_file(images: Images, tmp_path: Path, content: str) -> None:
    visit(images)
    path = tmp_path / "compute/.edit/edit.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(BadInput) as caught:
        visit(images)
    assert caught.value.where == str(path)
