"""Schemas say what the codec takes and gives."""

from ipaddress import IPv4Address
from typing import Any

import attrs
import jsonschema_rs
import pytest
from attrs import field, frozen

from imaged.model import codec
from imaged.model.boot import Chain
from imaged.model.codec import to_plain
from imaged.model.host import Host
from imaged.model.names import ImageRef
from imaged.model.net import Address, Mac
from imaged.model.network import Bond, Interface, Ip, Network, Route
from imaged.model.node import Node
from imaged.model.plan import InstallPlan, Mount, Phase
from imaged.model.stack import Filesystem
from imaged.planning.schema import SPELLED, Schemas, described


@frozen
class Inner:
    """Is held."""

    size: int = field(default=3, metadata={"limits": {"maximum": 9}})


@frozen
class Outer:
    """Holds ``inner``.

    Twice.
    """

    name: str
    inner: Inner
    all: tuple[Inner, ...] = ()
    word: Chain | None = None
    numbers: dict[str, float] = {}
    anything: Any = None


def test_a_class_of_values() -> None:
    schemas = Schemas()
    assert schemas.of(Outer) == {"$ref": "#/components/schemas/Outer"}
    inner = {"$ref": "#/components/schemas/Inner"}
    assert schemas.components == {
        "Inner": {
            "description": "Is held.", "type": "object", "required": [], "additionalProperties": False,
            "properties": {"size": {"type": "integer", "maximum": 9, "default": 3}},
        },
        "Outer": {
            "description": "Holds `inner`.\n\nTwice.", "type": "object", "required": ["name", "inner"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string"}, "inner": inner, "all": {"type": "array", "items": inner, "default": []},
                "word": {
                    "anyOf": [{"type": "string", "enum": ["auto", "ipxe", "grub"]}, {"type": "null"}], "default": None
                },
                "numbers": {"type": "object", "additionalProperties": {"type": "number"}, "default": {}},
                "anything": {"default": None},
            },
        },
    }  # fmt: skip


NETWORK = Network(
    (Interface("lan0", boot=True, ip=Ip(dhcp4=True)), Interface("lan1", mac=Mac.parse("52:54:00:00:00:01"))),
    bonds=(Bond("bond0", ("lan1",), ip=Ip(addresses=(Address.parse("node/24"),))),),
)
NODE = Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("tiny@3"), address=IPv4Address("10.0.0.7"))
PLAN = InstallPlan("n1", "tiny@1", "one-disk", (Phase("mount", (Mount("/dev/sda1", Filesystem.EXT4, "/"),)),))


@pytest.mark.parametrize("value", [Host(), Host(NETWORK, timezone="UTC"), NODE, PLAN], ids=lambda v: type(v).__name__)
def test_values_are_what_their_schemas_say(value: Any) -> None:
    schemas = Schemas()
    schema = {**schemas.of(type(value)), "components": {"schemas": schemas.components}}
    jsonschema_rs.validator_for(schema).validate(to_plain(value))
    broken = {**to_plain(value), "surplus": 1}
    assert not jsonschema_rs.validator_for(schema).is_valid(broken)


def test_what_the_codec_spells_has_a_schema() -> None:
    assert {*codec._SPELLED} <= {*SPELLED}


def test_two_classes_of_one_name_are_refused() -> None:
    schemas = Schemas()
    schemas.of(Route)
    with pytest.raises(TypeError, match="two classes are called Route"):
        schemas.of(attrs.make_class("Route", []))


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no value"):
        Schemas().of(set[str])


def test_docstrings_are_paragraphs() -> None:
    assert described("One ``two``\n    three.\n\n    Four.\n    ") == "One `two` three.\n\nFour."
