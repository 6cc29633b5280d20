"""Marks of edits are found again, and what is no mark is said."""

from pathlib import Path

import pytest

from imaged.model.errors import BadInput
from imaged.store.edits import Edit, read, write

MARK = Edit(base=3, who="alice", since="2026-11-21T03:11:00Z")


def test_a_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, MARK)
    assert read(tmp_path) == MARK


def test_a_copy_without_a_mark(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(tmp_path / "none") is None


@pytest.mark.parametrize("content", ["", "{}", '{"base": "3"}', "\xff"])
def test_a_damaged_mark_names_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "edit.json").write_text(content, encoding="latin-1")
    with pytest.raises(BadInput) as caught:
        read(tmp_path)
    assert caught.value.where == str(tmp_path / "edit.json")
