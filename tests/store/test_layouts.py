"""Layouts by name: the site's before ours, and never a path."""

from pathlib import Path

import pytest

from imaged.model.errors import BadInput, NotFound
from imaged.store.layouts import find, names, path_of

SHIPPED = ("btrfs-subvolumes", "luks-lvm-keep-data", "one-disk", "one-disk-mbr", "raid1-data-raid")


def test_ours_are_found_where_the_site_has_none(tmp_path: Path) -> None:
    assert find(tmp_path / "none", "one-disk")["version"] == 1
    assert names(tmp_path / "none") == SHIPPED


def test_the_sites_own_come_first(tmp_path: Path) -> None:
    (tmp_path / "one-disk.yaml").write_text("own: true\n")
    (tmp_path / "gpu.yaml").write_text("version: 1\n")
    assert find(tmp_path, "one-disk") == {"own": True}
    assert path_of(tmp_path, "gpu") == tmp_path / "gpu.yaml"
    assert names(tmp_path) == tuple(sorted((*SHIPPED, "gpu")))


def test_what_is_no_layout_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "Upper.yaml").touch()
    (tmp_path / ".hidden.yaml").touch()
    (tmp_path / "readme.txt").touch()
    assert names(tmp_path) == SHIPPED


def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find(tmp_path, "two-disk")
    assert "there is no layout 'two-disk'" in str(caught.value)
    assert "one-disk, one-disk-mbr" in caught.value.hint
    assert str(tmp_path / "two-disk.yaml") in caught.value.hint


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", "a/b", "a\0", "x" * 10_000, "A", "one-disk.yaml/"])
def test_a_name_is_never_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a layout name"):
        find(tmp_path, name)


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nversion: 2\n")
    with pytest.raises(BadInput) as caught:
        find(tmp_path, "bad")
    assert str(caught.value).startswith(f"{tmp_path / 'bad.yaml'}: line 2: the key 'version' is there twice")
