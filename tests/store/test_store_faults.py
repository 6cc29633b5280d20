"""The store when something goes wrong: killed between any two steps, damaged files, a full disk, two at once."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imaged.model.errors import Conflict, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store import channels, durable, sharing
from imaged.store.damage import Damaged
from imaged.store.edits import Copy, working_copy
from imaged.store.images import Images
from imaged.store.seal import read_tree

WHEN = 1_700_000_000
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounts: needs root")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """A store with ``compute@1``, which is stable."""
    images = Images(tmp_path / "images")
    images.publish(make(images), "stable")
    return images


def make(images: Images, name: str = "compute", content: str = "x" * 5000) -> Version:
    with images.working(name) as working:
        fill(working.tree, content)
        return images.seal(working, origin="a test")


def fill(tree: Path, content: str = "x" * 5000) -> None:
    for path in (tree / "a/one", tree / "a/two", tree / "b/three"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content + path.name)
        os.utime(path, (WHEN, WHEN))
    for directory in (tree / "a", tree / "b", tree):
        os.utime(directory, (WHEN, WHEN))


def damage(path: Path) -> None:
    """Other content of the same size and time, as a failing disk makes it."""
    status = path.stat()
    with path.open("r+") as file:
        file.write("Z")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def as_sealed(images: Images, version: Version) -> bool:
    return read_tree(images.tree(version)).entries == images.entries(version)


class Dies:
    """Stands before a function and kills this process at its ``at``-th call."""

    def __init__(self, real: Callable[..., object], at: list[int]) -> None:
        self._real = real
        self._at = at

    def __call__(self, *args: object, **more: object) -> object:
        self._at[0] -= 1
        if not self._at[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._real(*args, **more)


def killed(act: Callable[[], object], at: int) -> bool:
    """Run ``act`` in a process of its own, killed as its ``at``-th change of a directory begins; False: it ended."""
    child = os.fork()
    if not child:
        code = 1
        try:
            left = [at]
            doors = [(os, name) for name in ("rename", "replace", "link", "utime", "fsync")]
            for place, name in (*doors, (durable, "sync_filesystem")):
                setattr(place, name, Dies(getattr(place, name), left))
            act()
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.parametrize("at", range(1, 16))
def test_a_rename_that_is_killed_leaves_one_whole_image_under_one_name(images: Images, at: int) -> None:
    make(images, content="y" * 5000)
    ended = not killed(lambda: images.rename("compute", "login"), at)
    (name,) = images.names()
    assert name == "login" or not ended
    assert [version.ref for version in images.versions(name)] == [f"{name}@1", f"{name}@2"]
    assert images.resolve(ImageRef(name)).number == 1
    assert all(as_sealed(images, version) for version in images.versions(name))
    if name == "compute":
        images.rename("compute", "login")
    assert images.resolve(ImageRef("login")).ref == "login@1"


@pytest.mark.parametrize("at", range(1, 26))
def test_a_seal_that_is_killed_never_ties_an_editors_copy_to_a_sealed_version(images: Images, at: int) -> None:
    """One who goes on editing would write into the version."""
    first = images.resolve(ImageRef("compute"))

    def edit() -> None:
        with working_copy(images, first, "alice", exactly=False, fresh=False) as copy:
            images.seal(copy.working, origin="edit")

    killed(edit, at)
    assert as_sealed(images, first)
    assert all(as_sealed(images, version) for version in images.versions("compute"))
    with working_copy(images, first, "alice", exactly=False, fresh=False) as copy:
        paths = list(copy.working.tree.rglob("*"))
        assert {path.name for path in paths} == {"a", "b", "one", "two", "three"}
        assert {path.stat().st_nlink for path in paths if path.is_file()} == {1}
        assert as_sealed(images, images.seal(copy.working, origin="edit"))


@pytest.mark.parametrize("at", range(6))
def test_a_copy_that_is_untied_from_a_version_is_not_lost_by_a_kill(images: Images, at: int) -> None:
    first = images.resolve(ImageRef("compute"))

    def visit(change: Callable[[Path], None]) -> Copy:
        with working_copy(images, first, "alice", exactly=False, fresh=False) as copy:
            change(copy.working.tree)
            return copy

    def tie(tree: Path) -> None:
        (tree / "mine").write_text("work of days")
        (tree.parent / ".tied").touch()
        (tree / "a/one").unlink()
        (tree / "a/one").hardlink_to(images.tree(first) / "a/one")

    visit(tie)
    if at:
        killed(lambda: visit(lambda _: None), at)
    kept = visit(lambda tree: (tree / "a/one").write_text("changed") and None)
    assert (kept.working.tree / "mine").read_text() == "work of days"
    assert as_sealed(images, first)
    assert sorted(path.name for path in kept.working.directory.iterdir()) == ["edit.json", "tree"]


def test_a_seal_that_fails_leaves_the_copy_for_another_try(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    first = images.resolve(ImageRef("compute"))
    with monkeypatch.context() as patched:
        patched.setattr(durable, "sync_filesystem", full)
        with (
            pytest.raises(ImagedError, match="No space left"),
            working_copy(images, first, "alice", exactly=False, fresh=False) as copy,
        ):
            images.seal(copy.working, origin="edit")
    with working_copy(images, first, "alice", exactly=False, fresh=False) as copy:
        (copy.working.tree / "a/one").write_text("changed")
        assert as_sealed(images, images.seal(copy.working, origin="edit"))
    assert as_sealed(images, first)


@pytest.mark.parametrize("what", ["content", "mode", "xattr", "time", "gone", "a directory", "a link"])
def test_a_damaged_file_never_comes_into_a_new_version(images: Images, what: str) -> None:
    old = images.tree(images.resolve(ImageRef("compute"))) / "a/one"
    if what == "content":
        damage(old)
    elif what == "mode":
        old.chmod(0o4755)
    elif what == "xattr":
        os.setxattr(old, "user.note", b"not sealed")
    elif what == "time":
        os.utime(old, (WHEN, WHEN + 1))
    else:
        old.unlink()
        if what == "a directory":
            old.mkdir()
        elif what == "a link":
            old.symlink_to("two")
    second = make(images)
    assert as_sealed(images, second)
    assert (images.tree(second) / "a/one").read_text() == "x" * 5000 + "one"
    assert (images.tree(second) / "a/two").stat().st_nlink == 2  # what is whole is shared all the same


@pytest.mark.parametrize("tie", [True, False])
def test_damage_that_was_copied_is_not_sealed_as_if_it_were_meant(images: Images, tie: bool) -> None:
    """A capture links what is unchanged (size and time), an editor's copy has its bytes."""
    first = images.resolve(ImageRef("compute"))
    damage(images.tree(first) / "a/one")
    with images.working("compute") as working:
        fill(working.tree)
        path = working.tree / "a/one"
        if tie:
            path.unlink()
            path.hardlink_to(images.tree(first) / "a/one")
        else:
            damage(path)
        with pytest.raises(Damaged) as caught:
            images.seal(working, origin="a test")
        assert caught.value.paths == ("a/one",)
        assert "/a/one" in str(caught.value)
        assert "compute@1" in str(caught.value)
        path.unlink()
        fill(working.tree)
        assert as_sealed(images, images.seal(working, origin="a test"))


def test_a_file_that_was_changed_on_purpose_is_no_damage(images: Images) -> None:
    """Reproducible packages: other content, the same size, the same time."""
    with images.working("compute") as working:
        fill(working.tree)
        damage(working.tree / "a/one")
        assert as_sealed(images, images.seal(working, origin="a test"))


def test_two_that_seal_at_once_get_two_numbers(images: Images) -> None:
    first = images.resolve(ImageRef("compute"))
    with working_copy(images, first, "alice", exactly=False, fresh=False) as copy, images.working("compute") as working:
        fill(working.tree, "other")
        one = Images(images.root, now=lambda: images.seal(working, origin="a build").created)
        edited = one.seal(copy.working, origin="an edit")  # a build is sealed while this one is
    assert edited.number == 3
    assert [version.origin for version in images.versions("compute")] == ["a test", "a build", "an edit"]
    assert all(as_sealed(images, version) for version in images.versions("compute"))


def test_channels_that_many_move_at_once_lose_nothing(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def move(numbers: range) -> None:
        try:
            for number in numbers:
                channels.move(tmp_path / "channels", "stable", number)
                channels.read(tmp_path / "channels")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=move, args=(range(start, start + 10),)) for start in (1, 11, 21, 31)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(channels.read(tmp_path / "channels")["stable"]) == set(range(1, 41))
    assert [path.name for path in (tmp_path / "channels").iterdir() if not path.name.startswith(".")] == ["stable"]


@pytest.mark.parametrize("act", ["remove_image", "rename"])
def test_an_image_that_somebody_edits_stays_where_it_is(images: Images, act: str) -> None:
    first = images.resolve(ImageRef("compute"))
    acts: dict[str, Callable[[], None]] = {
        "remove_image": lambda: images.remove_image("compute"),
        "rename": lambda: images.rename("compute", "login"),
    }
    with working_copy(images, first, "alice", exactly=False, fresh=False), pytest.raises(Conflict, match="edit"):
        acts[act]()
    assert images.versions("compute") == (first,)


def test_a_copy_can_be_sealed_whose_version_was_removed_meanwhile(images: Images) -> None:
    first = images.resolve(ImageRef("compute"))
    make(images)
    with working_copy(images, first, "alice", exactly=False, fresh=False) as copy:
        images.remove("compute", 1)
        assert as_sealed(images, images.seal(copy.working, origin="edit", base=first))


def test_a_lock_on_what_was_renamed_meanwhile_is_none(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock file was opened before the image got its new name: it locks that one, not ours."""
    real = Path.open

    def late(path: Path, *args: str, **more: str) -> object:
        file = real(path, *args, **more)  # type: ignore[call-overload]
        if path.name == ".lock":
            monkeypatch.setattr(Path, "open", real)
            images.rename("compute", "login")
        return file

    monkeypatch.setattr(Path, "open", late)
    with pytest.raises(Conflict, match="renamed or removed"), images.working("compute"):
        raise AssertionError("must not get here")
    assert images.names() == ("login",)


@pytest.mark.parametrize("at", range(1, 10))
def test_a_removal_that_is_killed_leaves_the_whole_or_nothing_and_the_next_one_clears(images: Images, at: int) -> None:
    make(images)
    make(images, "login")
    killed(lambda: images.remove("compute", 2), at)
    killed(lambda: images.remove_image("login"), at)
    for version in images.all():
        assert as_sealed(images, version)
    for name in images.names():
        images.remove_image(name)
    assert [path.name for path in images.root.iterdir() if not path.name.startswith(".last")] == []


def test_no_number_means_two_things_even_after_its_image_was_removed(images: Images) -> None:
    make(images)
    images.remove_image("compute")
    assert images.names() == ()
    assert make(images).ref == "compute@3"
    images.rename("compute", "login")
    assert make(images).ref == "compute@4"


def test_a_name_that_a_broken_build_left_can_be_taken(images: Images) -> None:
    with pytest.raises(KeyError), images.working("login"):
        raise KeyError
    with images.working("login"), pytest.raises(Conflict, match="already"):
        images.rename("compute", "login")
    images.rename("compute", "login")
    assert images.resolve(ImageRef("login")).ref == "login@1"
    with pytest.raises(KeyError), images.working("gold", resume=True):
        raise KeyError
    with pytest.raises(Conflict, match="already"):
        images.rename("login", "gold")


def test_what_is_not_there_is_not_removed(images: Images) -> None:
    with pytest.raises(NotFound):
        images.remove("compute", 7)
    with pytest.raises(NotFound):
        images.remove_image("login")


def test_an_unfinished_image_can_be_removed(images: Images) -> None:
    with pytest.raises(KeyboardInterrupt), images.working("login", resume=True):
        raise KeyboardInterrupt
    assert images.unfinished() == ("login",)
    images.remove_image("login")
    assert images.unfinished() == ()
    assert not (images.root / "login").exists()


def test_a_version_whose_facts_are_damaged_can_be_removed(images: Images) -> None:
    make(images)
    (images.root / "compute/2/version.json").write_text("{")
    assert images.numbers("compute") == (1, 2)
    images.remove("compute", 2)
    assert images.numbers("compute") == (1,)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Images]:
    """A store on a disk of one MiB."""
    at = tmp_path / "small"
    at.mkdir()
    if subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at), check=False).returncode:
        pytest.skip("cannot mount a tmpfs")
    try:
        yield Images(at)
    finally:
        subprocess.run(("umount", "-l", at), check=True)


@ROOT
@pytest.mark.processes
def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(small: Images) -> None:
    first = make(small)
    small.publish(first, "stable")
    with pytest.raises(ImagedError, match="No space left") as caught, small.working("compute") as working:
        (working.tree / "large").write_bytes(b"x" * (2 << 20))
    assert "room" in caught.value.hint
    with pytest.raises(ImagedError, match="No space left"), small.working("compute") as working:
        for number in range(20000):
            (working.tree / f"{number:0200}").symlink_to("x" * 200)
        small.seal(working, origin="a test")
    assert small.versions("compute") == (first,)
    assert sorted(path.name for path in (small.root / "compute").iterdir()) == [".lock", "1", "channels"]
    ballast = small.root / "ballast"
    with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    with pytest.raises(ImagedError, match="No space left"):
        small.publish(first, "canary" * 5)
    assert small.channels("compute") == {"stable": 1}
    ballast.unlink()
    assert make(small).number == 2


def test_sharing_says_nothing_of_a_disk_that_refuses_links(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sharing.os, "link", refuse)
    second = make(images)
    assert as_sealed(images, second)
