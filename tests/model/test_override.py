"""Layers of overrides as lists: who wins, what clashes, and that nothing else can come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.group import Group, group_name, in_order
from imaged.model.override import Clash, Layer, Listed, layer_names, merge


def layer(name: str, *paths: str) -> Layer:
    """``etc/`` is a directory."""
    return Layer(name, tuple(Listed(path.rstrip("/"), path.endswith("/")) for path in paths))


MERGES = [
    ((layer("a", "x"), layer("b", "x")), {"x": "b"}, ()),
    ((layer("a", "d/", "d/x"), layer("b", "d/", "d/y")), {"d": "b", "d/x": "a", "d/y": "b"}, ()),
    ((layer("a", "d/", "d/x", "d/e/", "d/e/y", "da"), layer("b", "d")), {"d": "b", "da": "a"},
     (Clash("d", "b", "a", False),)),
    ((layer("a", "d"), layer("b", "d/", "d/x")), {"d": "b", "d/x": "b"}, (Clash("d", "b", "a", True),)),
    ((layer("a", "d"), layer("b", "d/e/x")), {"d/e/x": "b"}, (Clash("d", "b", "a", True),)),
    ((layer("a", "d/", "d/x"), layer("b", "d"), layer("c", "d/", "d/y")), {"d": "c", "d/y": "c"},
     (Clash("d", "b", "a", False), Clash("d", "c", "b", True))),
    ((layer("a", "a\nb", "\udcff"), layer("b", "a\nb")), {"a\nb": "b", "\udcff": "a"}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "wanted", "clashes"), MERGES)
def test_merges(layers: tuple[Layer, ...], wanted: dict[str, str], clashes: tuple[Clash, ...]) -> None:
    merged = merge(layers)
    assert {each.path: each.layer for each in merged.paths} == wanted
    assert merged.clashes == clashes


TWICE = [
    (Listed("x"), Listed("x", source="x.j2")),
    (Listed("d", True), Listed("d", source="d.j2")),
    (Listed("d"), Listed("d/x")),
]


@pytest.mark.parametrize("paths", TWICE)
def test_one_layer_cannot_say_two_things(paths: tuple[Listed, ...]) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(BadInput) as raised:
            merge((Layer("group/x", order),))
        assert raised.value.where == "group/x"


NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def trees(draw: st.DrawFn, name: str) -> Layer:
    """A layer that could be on a disk: a file has nothing below it, a way to a path is made of directories."""
    files = draw(st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=6))
    files = {path for path in files if not any(other.startswith(f"{path}/") for other in files)}
    parents = {path[:at] for path in files for at in range(len(path)) if path[at] == "/"}
    return layer(name, *files, *(f"{path}/" for path in parents))


LAYERS = st.integers(0, 4).flatmap(lambda count: st.tuples(*(trees(str(at)) for at in range(count))))


@given(LAYERS)
def test_the_last_layer_wins(layers: tuple[Layer, ...]) -> None:
    laid = {each.path: each for each in merge(layers).paths}
    for one in layers[-1:]:
        assert all(laid[each.path].layer == one.name for each in one.paths)
    for path, each in laid.items():
        above = [one for one in layers if int(one.name) > int(each.layer)]
        assert not any(path == lost.path for one in above for lost in one.paths)
        assert all(laid[path[:at]].directory for at in range(len(path)) if path[at] == "/")


@given(LAYERS)
def test_laying_the_result_over_itself_changes_nothing(layers: tuple[Layer, ...]) -> None:
    once = merge(layers)
    flat = tuple(Listed(each.path, each.directory) for each in once.paths)
    twice = merge((Layer("x", flat), Layer("y", flat)))
    assert [(each.path, each.directory) for each in twice.paths] == [(each.path, each.directory) for each in once.paths]
    assert twice.clashes == ()


def test_the_order_of_layers() -> None:
    found = in_order((Group("b", 10), Group("a", 10), Group("c", 99), Group("d", 1)))
    groups = tuple(group.name for group in found)
    assert groups == ("c", "a", "b", "d")
    assert layer_names("i", groups[:2], "n") == ("all", "image/i", "group/c", "group/a", "node/n")
    assert layer_names("i", groups[:2]) == ("all", "image/i", "group/c", "group/a")


@pytest.mark.parametrize("text", ["", "A", "a/b", "..", "a..b", ".a", "x.protect", "a" * 65, "a\n"])
def test_what_is_no_group(text: str) -> None:
    with pytest.raises(BadInput):
        group_name(text)
