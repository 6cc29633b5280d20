"""The name of what agent and server say to each other."""

import enum

import attrs
import pytest

from imaged.model import dialect as module


@attrs.frozen
class Word:
    size: int


class Colour(enum.Enum):
    RED = "red"


def named(monkeypatch, *spoken):
    monkeypatch.setattr(module, "_SPOKEN", spoken)
    return module.dialect.__wrapped__()


def test_it_is_always_the_same_and_short():
    assert module.dialect() == module.dialect.__wrapped__()
    assert len(module.dialect()) == 16


@pytest.mark.parametrize(
    "fields",
    [
        {"size": attrs.field(type=str)},
        {"width": attrs.field(type=int)},
        {"size": attrs.field(type=int), "colour": attrs.field(type=Colour, default=Colour.RED)},
        {"size": attrs.field(type=tuple[int, ...])},
    ],
)
def test_another_value_is_another_dialect(monkeypatch, fields):
    assert named(monkeypatch, Word) != named(monkeypatch, attrs.make_class("Word", fields, frozen=True))


def test_a_new_word_of_an_enumeration_is_another_dialect(monkeypatch):
    two = enum.Enum("Colour", {"RED": "red", "BLUE": "blue"})

    def spoken(colour):
        return attrs.make_class("Word", {"colour": attrs.field(type=colour)}, frozen=True)

    assert named(monkeypatch, spoken(Colour)) != named(monkeypatch, spoken(two))
