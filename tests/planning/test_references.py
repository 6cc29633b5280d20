"""What layouts call the devices that something is made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.planning.references import Reference, parse_reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os.pv", Reference("os", part="pv")),
        ("os[0].b", Reference("os", 0, part="b")),
        ("data[11].d", Reference("data", 11, part="d")),
        ("os[*].r", Reference("os", every=True, part="r")),
        ("md-root", Reference("", part="md-root")),
        ("crypt_0", Reference("", part="crypt_0")),
    ],
)
def test_what_they_mean(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text", ["", ".", "os.", ".pv", "os[].b", "os[-1].b", "os[01].b", "os[0]", "os[*]", "os.a.b", "os[1][2].b", " os.b",
             "os.b\n", "/dev/sda1", "-x", "os[10000].b", "os[²].b", "ös.b"],
)  # fmt: skip
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(BadInput, match="names no device"):
        parse_reference(text)


@given(st.text(alphabet="os.[]*01-_ ") | st.text())
def test_any_text_is_a_reference_or_bad_input(text: str) -> None:
    try:
        found = parse_reference(text)
    except BadInput:
        return
    assert str(found) == text
    assert found.part
