"""Fixtures that the nasty cases share."""

from pathlib import Path

import pytest

from tests.nasty.updates import UpdatedNode


@pytest.fixture
def node(tmp_path: Path) -> UpdatedNode:
    return UpdatedNode(tmp_path)
