"""The tests that docs/conformance.md names are there."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMED = re.findall(r"([\w/]+\.py)::(\w+)", (HERE.parent / "docs/conformance.md").read_text())


def test_there_are_some() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_it_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (HERE / file).read_text()
