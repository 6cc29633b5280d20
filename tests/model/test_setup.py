"""Who wins where several say what a node runs, and from whom each thing is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.group import Group, in_order
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.setup import DEFAULTS, Setup, effective, origins, variable

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_SETUPS = st.builds(
    Setup, st.just(NO_IMAGE) | st.builds(ImageRef, _NAMES), _NAMES | st.just(""),
    st.sampled_from(["", "none", "ttyS0"]), st.dictionaries(_NAMES, _NAMES),
    st.sampled_from(["", "local", "rescue"]),
)  # fmt: skip
_GROUPS = st.lists(st.builds(Group, _NAMES, st.integers(0, 3), _SETUPS), unique_by=lambda group: group.name)


@given(_GROUPS, _SETUPS)
def test_the_node_itself_then_the_lowest_priority_then_the_default(groups: list[Group], own: Setup) -> None:
    found = effective([*(group.setup for group in in_order(groups)), own])
    # The other way round than the code: from the strongest down, the first that says it.
    by_name = sorted(groups, key=lambda group: group.name, reverse=True)
    strongest = [own, *(group.setup for group in sorted(by_name, key=lambda group: group.priority))]
    for key in ("image", "layout", "console", "first"):
        said = [getattr(each, key) for each in strongest if getattr(each, key)]
        assert getattr(found, key) == next(iter(said), getattr(DEFAULTS, key))
    for name in "abcd":
        values = [each.variables[name] for each in strongest if name in each.variables]
        assert found.variables.get(name) == next(iter(values), None)


@given(_GROUPS, _SETUPS)
def test_where_it_is_from_says_the_very_thing(groups: list[Group], own: Setup) -> None:
    layers = [*((f"group {group.name}", group.setup) for group in in_order(groups)), ("node", own)]
    found, said = effective(setup for _, setup in layers), dict(layers) | {"default": DEFAULTS}
    where = origins(layers)
    for key in ("image", "layout", "console", "first"):
        assert getattr(said[where.pop(key)], key) == getattr(found, key)
    assert {key: said[layer].variables[key.removeprefix("var.")] for key, layer in where.items()} == {
        f"var.{name}": text for name, text in found.variables.items()
    }


@pytest.mark.parametrize("name", ["", "7a", "a-b", "a.b", "ä", "x" * 65, "items", "get", "__class__"])
def test_names_that_templates_cannot_read(name: str) -> None:
    with pytest.raises(BadInput, match=r"is not the name of a variable|is a word of the template language"):
        variable(name, "")


@pytest.mark.parametrize("text", ["\0", "\x1b[2J", "\ud800", "\u2028", "x" * 4097])
def test_texts_that_no_database_or_terminal_takes(text: str) -> None:
    with pytest.raises(BadInput, match="variable rack: is not a text"):
        variable("rack", text)
    assert variable("rack", "a\tb\n✓") == ("rack", "a\tb\n✓")
