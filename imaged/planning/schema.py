"""JSON Schema (draft 2020-12, as OpenAPI 3.1 has it) of the values that `model.codec` reads and writes. Pure."""

import types
import typing
from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePosixPath
from typing import Any, get_args, get_origin

import attrs

from imaged.model.codec import to_plain
from imaged.model.names import WORD, ImageRef
from imaged.model.net import Address, AddressRange, Mac
from imaged.model.plan import Step
from imaged.model.size import Bytes, SizeBounds
from imaged.model.update import UpdateStep

Schema = dict[str, Any]

# What people write as text. The patterns are of the spelling that we answer with; a MAC may be written in others.
SPELLED: dict[Any, Schema] = {
    Mac: {"type": "string", "pattern": "^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$", "examples": ["52:54:00:12:34:56"]},
    ImageRef: {
        "type": "string",
        "description": "NAME (its stable channel), NAME@CHANNEL or NAME@VERSION; empty: none is said.",
        "pattern": rf"^((?!.*\.\.){WORD}(@{WORD})?)?$",
        "examples": ["compute", "compute@canary", "compute@3"],
    },
    IPv4Address: {"type": "string", "format": "ipv4"},
    IPv6Address: {"type": "string", "format": "ipv6"},
    IPv4Network: {"type": "string", "examples": ["10.0.0.0/24"]},
    IPv6Network: {"type": "string", "examples": ["2001:db8::/64"]},
    Address: {"type": "string", "examples": ["10.0.0.7/24", "node/24"]},
    AddressRange: {"type": "string", "examples": ["10.0.0.100-10.0.0.200"]},
    PurePosixPath: {"type": "string"},
    SizeBounds: {"type": "string"},
    Bytes: {"type": ["integer", "string"], "examples": [1048576, "20G"]},
}
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
}
_TAGGED: dict[Any, str] = {Step: "step", UpdateStep: "step"}  # unions whose members say which they are


class Schemas:
    """Schemas that refer to each other: ``of`` collects every class that it meets in ``components``."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._known: dict[str, type] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of ``kind``; of a class of values a reference. Raises TypeError for what no value can be."""
        if kind in SPELLED:
            return dict(SPELLED[kind])
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if get_origin(kind) in (typing.Union, types.UnionType):
            return self._union(kind)
        if get_origin(kind) is tuple and get_args(kind)[1:] == (...,):
            return {"type": "array", "items": self.of(get_args(kind)[0])}
        if get_origin(kind) is dict:
            return {"type": "object", "additionalProperties": self.of(get_args(kind)[1])}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [each.value for each in kind]}
        if isinstance(kind, type) and attrs.has(kind):
            return {"$ref": f"#/components/schemas/{self._name(kind)}"}
        raise TypeError(f"no value can be a {kind!r}")

    def fields(self, kind: type) -> Iterable[tuple[str, Schema, bool]]:
        """(name, schema, whether it must be there) of each attribute. Metadata adds to a schema: ``limits``."""
        for field in attrs.fields(attrs.resolve_types(kind)):
            schema = {**self.of(field.type), **field.metadata.get("limits", {})}
            needed = field.default is attrs.NOTHING
            if not needed and not isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
                schema["default"] = to_plain(field.default)
            yield field.name, schema, needed

    def _name(self, kind: type) -> str:
        name = kind.__name__
        if self._known.setdefault(name, kind) is not kind:
            raise TypeError(f"two classes are called {name}: {kind!r} and {self._known[name]!r}")
        if name not in self.components:
            self.components[name] = {}  # it may hold itself
            self.components[name] = self._object(kind)
        return name

    def _object(self, kind: type) -> Schema:
        fields = list(self.fields(kind))
        schema: Schema = {
            "type": "object",
            "properties": {name: schema for name, schema, _ in fields},
            "required": [name for name, _, needed in fields if needed],
            "additionalProperties": False,
        }
        return {"description": described(kind.__doc__), **schema} if kind.__doc__ else schema

    def _union(self, kind: Any) -> Schema:
        tag = _TAGGED.get(kind)
        if tag is None:
            return {"anyOf": [self.of(each) for each in get_args(kind)]}
        return {"oneOf": [self._tagged(each, tag) for each in get_args(kind)], "discriminator": {"propertyName": tag}}

    def _tagged(self, kind: type, tag: str) -> Schema:
        """A step by itself has no tag; in a union its name is one."""
        name = f"{kind.__name__}Step"
        if name not in self.components:
            plain = self._object(kind)
            plain["properties"] = {tag: {"const": kind.__name__}, **plain["properties"]}
            plain["required"] = [tag, *plain["required"]]
            self.components[name] = plain
        return {"$ref": f"#/components/schemas/{name}"}


def described(text: str) -> str:
    """A docstring as Markdown: one backquote around what is code, no line breaks within a paragraph."""
    paragraphs = text.replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()
