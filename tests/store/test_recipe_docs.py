"""The recipes in the manual are recipes."""

import re
from pathlib import Path

import pytest
import yaml

from imaged.model.recipe import Recipe
from imaged.planning.build_tools import bootstrap
from imaged.store.recipes import build

_MANUAL = Path(__file__).parents[2] / "docs/recipes.md"
_RECIPES = {
    recipe.name: recipe
    for text in re.findall(r"```yaml\n(.*?)```", _MANUAL.read_text(encoding="utf-8"), re.S)
    for recipe in [build(yaml.safe_load(text), where=str(_MANUAL))]
}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "rocky-9",
            (
                "dnf", "--installroot=/t", "--releasever=9",
                "--repofrompath=imaged-1,http://mirror.example/rocky/$releasever/BaseOS/$basearch/os",
                "--repofrompath=imaged-2,http://mirror.example/rocky/$releasever/AppStream/$basearch/os",
                "--repo=imaged-1", "--repo=imaged-2", "kernel", "NetworkManager", "tzdata",
            ),
        ),
        (
            "leap-15.6",
            (
                "zypper", "--releasever", "15.6", "http://mirror.example/opensuse/distribution/leap/15.6/repo/oss",
                "http://mirror.example/opensuse/update/leap/15.6/oss", "kernel-default", "NetworkManager", "timezone",
            ),
        ),
    ],
)  # fmt: skip
def test_an_example(name: str, words: tuple[str, ...]) -> None:
    recipe = _RECIPES[name]
    assert set(words) <= set(bootstrap(recipe, "/t")[-1])
    assert {"rsync", "python3", "rpm", "dracut"} <= set(recipe.packages), "what nodes and the build need"


def test_every_key_is_in_the_table() -> None:
    table = set(re.findall(r"^\| `([a-z_]+)", _MANUAL.read_text(encoding="utf-8"), re.M))
    assert {field.name for field in Recipe.__attrs_attrs__} <= table
