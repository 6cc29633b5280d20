"""Which names are names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.names import ImageRef, channel_name, image_name, layout_name, node_name


@pytest.mark.parametrize("text", ["a", "0", "node07", "a-b", "a" * 63])
def test_node_names(text: str) -> None:
    assert node_name(text) == text


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64, "a\n", "a b", "ä", "../x", "a\0", "x" * 10_000]
)
def test_what_is_no_node_name(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        node_name(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [image_name, layout_name])
@pytest.mark.parametrize("text", ["a", "debian-12", "a.b_c", "1", "a" * 64])
def test_names_of_files(name: type, text: str) -> None:
    assert name(text) == text


@pytest.mark.parametrize("name", [image_name, layout_name])
@pytest.mark.parametrize(
    "text", ["", ".", "..", "a..b", "/a", "a/b", "-a", "_a", ".a", "A", "a\0", "a\n", "a" * 65, "x" * 10_000]
)
def test_names_that_could_leave_their_directory(name: type, text: str) -> None:
    with pytest.raises(BadInput):
        name(text)


@pytest.mark.parametrize("text", ["3", "", "a/b", "A", "..", "²"])
def test_what_is_no_channel(text: str) -> None:
    with pytest.raises(BadInput):
        channel_name(text)


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("compute", ImageRef("compute"), "compute@stable"),
        ("compute@canary", ImageRef("compute", channel="canary"), "compute@canary"),
        ("compute@3", ImageRef("compute", 3, ""), "compute@3"),
        ("compute@003", ImageRef("compute", 3, ""), "compute@3"),
    ],
)
def test_image_references(text: str, expected: ImageRef, said: str) -> None:
    assert ImageRef.parse(text) == expected
    assert str(expected) == said
    assert ImageRef.parse(said) == expected


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "@3", "a@0", "a@-1", "a@1@2", "a@../x", "../x", "a@٣", "a@9999999999", "a@³"]
)
def test_what_is_no_image_reference(text: str) -> None:
    with pytest.raises(BadInput):
        ImageRef.parse(text)


@given(st.text(alphabet="abz09@.-_/A\0\n²", max_size=12) | st.text())
def test_any_text_is_a_reference_that_can_be_written_or_bad_input(text: str) -> None:
    try:
        reference = ImageRef.parse(text)
    except BadInput:
        return
    assert ImageRef.parse(str(reference)) == reference
