"""The store: versions appear whole, channels move, and a crash at any point leaves the store as it was."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from imaged.model.errors import BadInput, Conflict, Denied, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store.images import Images

NOW = "2026-11-21T03:11:00Z"


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path / "images", now=lambda: NOW)


def make(images: Images, name: str = "compute", content: str = "one") -> Version:
    with images.working(name) as working:
        (working.tree / "etc").mkdir()
        (working.tree / "etc/motd").write_text(content)
        return images.seal(working, origin="a test", recipe="none.yaml")


def test_an_empty_store_has_nothing(images: Images) -> None:
    assert (images.names(), images.all(), images.versions("compute"), images.channels("compute")) == ((), (), (), {})


def test_a_sealed_version_is_what_was_made(images: Images) -> None:
    version = make(images)
    assert (version.ref, version.created, version.origin, version.recipe) == ("compute@1", NOW, "a test", "none.yaml")
    assert (version.bytes, version.entries) == (3, 3)
    assert images.versions("compute") == (version,) == images.all()
    assert (images.tree(version) / "etc/motd").read_text() == "one"
    assert [entry.path for entry in images.entries(version)] == [".", "etc", "etc/motd"]
    assert sorted(path.name for path in images.tree(version).parent.iterdir()) == [
        "manifest.mtree", "tree", "version.json",
    ]  # fmt: skip


def test_a_store_is_closed_to_other_users(images: Images) -> None:
    make(images)
    assert (images.root / "compute").stat().st_mode & 0o777 == 0o700


def test_versions_count_up_and_old_ones_stay(images: Images) -> None:
    first, second = make(images), make(images, content="two")
    assert (first.number, second.number) == (1, 2)
    assert (images.tree(first) / "etc/motd").read_text() == "one"


def test_resolve(images: Images) -> None:
    first, second = make(images), make(images, content="two")
    images.publish(first, "stable")
    images.publish(second, "canary")
    wanted = {"compute": first, "compute@canary": second, "compute@2": second, "compute@stable": first}
    assert {text: images.resolve(ImageRef.parse(text)) for text in wanted} == wanted
    images.publish(second, "stable")
    assert images.resolve(ImageRef.parse("compute")) == second
    assert images.channels("compute") == {"canary": 2, "stable": 2}


@pytest.mark.parametrize(
    ("ref", "what", "hint"),
    [
        ("login", "there is no image 'login'", "There are: compute."),
        ("compute@7", "image compute has no version 7", "Versions: 1, 2. Channels: stable (version 1)."),
        ("compute@canary", "image compute has no channel 'canary'", "Versions: 1, 2. Channels: stable (version 1)."),
    ],
)
def test_what_is_not_there_says_what_is(images: Images, ref: str, what: str, hint: str) -> None:
    images.publish(make(images), "stable")
    make(images)
    with pytest.raises(NotFound) as caught:
        images.resolve(ImageRef.parse(ref))
    assert (caught.value.what, caught.value.hint) == (what, hint)


def test_an_empty_store_says_how_to_begin(images: Images) -> None:
    with pytest.raises(NotFound, match="buildimage"):
        images.resolve(ImageRef.parse("compute"))


def test_a_channel_of_a_version_that_is_gone_is_named(images: Images) -> None:
    images.publish(make(images), "stable")
    make(images)
    (images.root / "compute/1").rename(images.root / "compute/gone")
    with pytest.raises(NotFound, match="no channel 'stable'"):
        images.resolve(ImageRef.parse("compute"))


def test_only_what_is_in_the_store_is_published(images: Images) -> None:
    version = make(images)
    (images.root / "compute/1").rename(images.root / "compute/gone")
    with pytest.raises(NotFound, match="compute@1 is not in the store"):
        images.publish(version, "stable")


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "UPPER", "a" * 65, "a\0b"])
def test_a_name_that_is_no_name_makes_nothing(images: Images, name: str) -> None:
    with pytest.raises(BadInput), images.working(name):
        raise AssertionError("must not get here")
    assert not images.root.exists()


def test_a_broken_build_leaves_nothing(images: Images) -> None:
    with pytest.raises(KeyboardInterrupt), images.working("compute") as working:
        (working.tree / "half").touch()
        raise KeyboardInterrupt
    assert images.names() == ()
    assert not (images.root / "compute/.working").exists()


def test_two_builds_of_one_image_do_not_meet(images: Images) -> None:
    with images.working("compute") as working, pytest.raises(Conflict) as caught, images.working("compute"):
        raise AssertionError("must not get here")
    assert caught.value.what == f"a version of compute is being made by process {os.getpid()}"
    assert not working.tree.exists()


def test_two_images_are_made_at_once(images: Images) -> None:
    with images.working("compute") as one, images.working("login") as other:
        assert images.seal(one, origin="").ref == "compute@1"
        assert images.seal(other, origin="").ref == "login@1"


def in_child(act: Callable[[], None]) -> int:
    """Run ``act`` in a forked process; returns the signal that ended it."""
    child = os.fork()
    if not child:
        try:
            act()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_other_users_are_told_who_may_look(images: Images, tmp_path: Path) -> None:
    make(images)
    told = tmp_path / "told"
    told.touch()
    told.chmod(0o666)

    def look() -> None:
        with told.open("w") as file:
            os.setuid(65534)
            try:
                images.names()
            except Denied as error:
                file.write(error.what)

    assert in_child(look) == 0
    assert told.read_text() == "only root may look into the images"


@pytest.mark.parametrize("point", ["filling", "hashing", "facts"])
def test_killed_at_any_point_there_is_no_version_and_the_next_build_works(tmp_path: Path, point: str) -> None:
    def die(*_: object) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def build() -> None:
        images = Images(tmp_path, now=die if point == "facts" else lambda: NOW)
        with images.working("compute") as working:
            (working.tree / "half").write_text("x")
            if point == "filling":
                die()
            images.seal(working, origin="", on_hashed=die if point == "hashing" else None)

    assert in_child(build) == signal.SIGKILL
    images = Images(tmp_path, now=lambda: NOW)
    assert images.all() == ()
    assert (tmp_path / "compute/.working/tree/half").exists()
    version = make(images)
    assert [entry.path for entry in images.entries(version)] == [".", "etc", "etc/motd"]
    assert not (tmp_path / "compute/.working").exists()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("1/version.json", "{", "version.json: not JSON"),
        ("1/version.json", "{}", "version.json"),
        ("channels/stable", "three", "channels/stable: is not a channel"),
    ],
)
def test_a_damaged_store_names_the_file(images: Images, name: str, content: str, fault: str) -> None:
    images.publish(make(images), "stable")
    (images.root / "compute" / name).write_text(content)
    with pytest.raises(BadInput, match=fault):
        images.resolve(ImageRef.parse("compute"))


def test_an_altered_manifest_is_noticed(images: Images) -> None:
    version = make(images)
    path = images.manifest(version)
    path.write_text(path.read_text().replace("mode=0644", "mode=4755"))
    with pytest.raises(ImagedError, match="is not the manifest that was sealed"):
        images.entries(version)


def test_what_is_no_image_is_passed_over(images: Images) -> None:
    make(images)
    (images.root / "lost+found").mkdir()
    (images.root / "notes.txt").touch()
    (images.root / "empty").mkdir()
    assert images.names() == ("compute",)


def test_version_json_is_readable_by_others(images: Images) -> None:
    make(images)
    assert json.loads((images.root / "compute/1/version.json").read_text())["image"] == "compute"


def test_a_name_is_remembered_until_it_means_another_version(tmp_path: Path) -> None:
    images, ref = Images(tmp_path), ImageRef("tiny", channel="stable")

    def seal() -> Version:
        with images.working("tiny") as working:
            (working.tree / "etc").mkdir()
            return images.seal(working, origin="test")

    def settle() -> None:
        """Directories change no more for a while."""
        for path in (tmp_path / "tiny", tmp_path / "tiny/channels"):
            os.utime(path, (1, 1))

    first = seal()
    images.publish(first, "stable")
    settle()
    assert images.resolve(ref) == first
    (tmp_path / "tiny/1/version.json").rename(tmp_path / "kept")
    assert images.resolve(ref) == first, "nothing was read"
    (tmp_path / "kept").rename(tmp_path / "tiny/1/version.json")
    second = seal()
    assert images.resolve(ref) == first
    images.publish(second, "stable")
    assert images.resolve(ref) == second
    settle()
    images.remove("tiny", 1)
    assert images.resolve(ref) == second
    with pytest.raises(NotFound):
        images.resolve(ImageRef("tiny", version=1))
