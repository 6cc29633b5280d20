"""A working tree that goes on where it was interrupted, and links that versions share and no manifest shows."""

import os
from pathlib import Path

import pytest

from imaged.model.errors import Conflict
from imaged.model.names import ImageRef
from imaged.store.images import Images


def test_an_interrupted_tree_is_found_again_until_it_is_sealed(tmp_path: Path) -> None:
    images = Images(tmp_path)
    with pytest.raises(KeyboardInterrupt), images.working("a", resume=True) as working:
        assert not working.resumed
        (working.tree / "file").write_text("half")
        raise KeyboardInterrupt
    assert images.versions("a") == ()
    with images.working("a", resume=True) as working:
        assert working.resumed
        assert (working.tree / "file").read_text() == "half"
        assert images.seal(working, origin="test").number == 1
    with images.working("a", resume=True) as working:
        assert not working.resumed
        assert list(working.tree.iterdir()) == []


def test_a_build_beside_it_neither_takes_nor_clears_it(tmp_path: Path) -> None:
    images = Images(tmp_path)
    with images.working("a", resume=True) as working:
        (working.tree / "file").write_text("half")
        with pytest.raises(Conflict), images.working("a"):
            pass
    with images.working("a") as built:
        assert list(built.tree.iterdir()) == []
    with images.working("a", resume=True) as working:
        assert (working.tree / "file").exists()


def test_a_file_that_versions_share_has_one_name_in_each_manifest(tmp_path: Path) -> None:
    images = Images(tmp_path)
    with images.working("a") as working:
        for name in ("alone", "one"):
            (working.tree / name).write_text(name)
        os.link(working.tree / "one", working.tree / "two")
        first = images.seal(working, origin="test")
    before = images.entries(first)
    with images.working("a") as working:
        for name in ("alone", "one", "two"):
            os.link(images.tree(first) / name, working.tree / name)
        second = images.seal(working, origin="test")
    links = {entry.path: (entry.links, entry.group) for entry in images.entries(second)}
    assert links == {".": (1, 0), "alone": (1, 0), "one": (2, 1), "two": (2, 1)}
    assert images.entries(images.resolve(ImageRef.parse("a@1"))) == before
