"""Values to plain data and back, strictly: the one place that knows how JSON and YAML become values.

Decoding refuses unknown keys and wrong types and names the path of every fault; nothing is coerced.
"""

import difflib
import enum
import json
import math
import re
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast, get_origin

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn
from cattrs.strategies import configure_tagged_union

from imaged.model.errors import BadInput, ImagedError
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import Address, AddressRange, AnyAddress, AnyNetwork, Mac
from imaged.model.size import Bytes, SizeBounds, SizeSpec, parse_size

T = TypeVar("T")
_Hook = Callable[[Any, Any], Any]


def _exactly(kind: type) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise BadInput(f"expected {_WORDS[kind]}, got {_shown(value)}")
        return value

    return structure


def _text(value: Any, _: Any) -> str:
    """Half a surrogate pair is legal in JSON (RFC 8259, section 8.2), but no file, database or log can hold it."""
    if type(value) is not str:
        raise BadInput(f"expected a string, got {_shown(value)}")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadInput(f"{_shown(value)} is not Unicode text")
    return value


def _float(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise BadInput(f"expected a number, got {_shown(value)}")
    return float(value)


def _bytes(value: Any, _: Any) -> Bytes:
    if type(value) not in (int, str):
        raise BadInput(f"expected a size, got {_shown(value)}", hint="Write it like 512M, 20G or 1.5T.")
    return Bytes(parse_size(value))


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _size_spec(fill: _Hook) -> _Hook:
    """``512M`` is short for a size of exactly that much."""

    def structure(value: Any, kind: Any) -> Any:
        if type(value) in (int, str):
            exactly = _bytes(value, Bytes)
            return SizeSpec(exactly, exactly)
        return fill(value, kind)

    return structure


def _sequence(converter: Converter) -> _Hook:
    """Tuples from lists only: cattrs would take a text apart into letters and a mapping into its keys."""

    def structure(value: Any, kind: Any) -> Any:
        if type(value) not in (list, tuple):
            raise BadInput(f"expected a list, got {_shown(value)}")
        return tuple(converter.structure(list(value), list[kind.__args__[0]]))

    return structure


def _mapping(converter: Converter) -> Callable[[type], _Hook]:
    """Values from mappings only: cattrs would take an empty list for a value that is all defaults."""

    def make(kind: type) -> _Hook:
        fill: _Hook = make_dict_structure_fn(
            kind, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
        )

        def structure(value: Any, kind: Any) -> Any:
            if type(value) is not dict:
                raise BadInput(f"expected a mapping of keys, got {_shown(value)}")
            return fill(value, kind)

        return structure

    return make


def _step(tagged: _Hook, steps: Any, of: str) -> _Hook:
    names = {kind.__name__ for kind in steps.__args__}

    def structure(value: Any, kind: Any) -> Any:
        tag = value.get("step") if type(value) is dict else None
        if not isinstance(tag, str) or tag not in names:
            raise BadInput(f"{_shown(value if tag is None else tag)} is no step of {of}")
        return tagged(value, kind)

    return structure


def _parsed(parse: Any) -> Any:
    def structure(value: Any, kind: Any) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise BadInput(f"expected a string, got {_shown(value)}")
        return parse(value)

    return structure


def _either(union: Any, parse: Any) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if isinstance(value, union):
            return value
        if not isinstance(value, str):
            raise BadInput(f"expected a string, got {_shown(value)}")
        return parse(value)

    return structure


def _enumeration(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        raise BadInput(f"{_shown(value)} is not one of {', '.join(str(m.value) for m in kind)}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_SPELLED: dict[Any, Any] = {  # values that are written as text
    Mac: Mac.parse,
    ImageRef: lambda text: ImageRef.parse(text) if text else NO_IMAGE,
    SizeBounds: SizeBounds.parse,
    AddressRange: AddressRange.parse,
    PurePosixPath: PurePosixPath,
    IPv4Address: IPv4Address,
    IPv4Network: IPv4Network,
    IPv6Address: IPv6Address,
    IPv6Network: IPv6Network,
    Address: Address.parse,
}
_EITHER: dict[Any, Any] = {AnyAddress: ip_address, AnyNetwork: ip_network}  # unions of those
_STEPS: dict[Any, str] = {}
_WORDS = {int: "a whole number", bool: "true or false"}


@cache
def _converter() -> Converter:
    """Made when it is first needed: that takes a program that lists nodes a tenth of its time."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook_factory(attrs.has, _mapping(converter))
    converter.register_structure_hook_func(_is_tuple, _sequence(converter))
    for kind in (int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(Bytes, _bytes)
    converter.register_structure_hook_func(
        lambda kind: isinstance(kind, type) and issubclass(kind, enum.Enum), _enumeration
    )
    for spelled, parse in _SPELLED.items():
        converter.register_structure_hook(spelled, _parsed(parse))
        converter.register_unstructure_hook(spelled, str)
    for union, parse in _EITHER.items():
        converter.register_structure_hook(union, _either(union, parse))
    converter.register_structure_hook(SizeSpec, _size_spec(converter.get_structure_hook(SizeSpec)))
    for union, of in _STEPS.items():
        configure_tagged_union(union, converter, tag_name="step")
        converter.register_structure_hook(union, _step(converter.get_structure_hook(union), union, of))
    return converter


def declare_steps(union: Any, of: str) -> None:
    """The classes of ``union`` are the steps of something (``a plan``), told apart by their names under ``step``.

    Said where they are defined: a list of nodes has no use for forty classes of steps, which take long to load.
    """
    _STEPS[union] = of
    _converter.cache_clear()


def to_plain(value: Any) -> Any:
    """Dicts, lists, strings, numbers: what JSON can say. Enums become their values, addresses text."""
    return _converter().unstructure(value, unstructure_as=next((it for it in _STEPS if isinstance(value, it)), None))


def to_json(value: Any, *, indent: int | None = None) -> str:
    """``value`` as JSON with a stable order of keys, fit for hashing."""
    return json.dumps(to_plain(value), indent=indent, sort_keys=True)


@attrs.frozen
class Fault:
    """What is wrong with the value at ``path`` (``disks[0].size.min``; empty: the whole)."""

    path: str
    text: str

    def below(self, at: str) -> "Fault":
        """The same fault where the decoded value is itself a part, at ``at``."""
        dot = "." if at and self.path and not self.path.startswith("[") else ""
        return Fault(f"{at}{dot}{self.path}", self.text)

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def decode(data: Any, kind: type[T]) -> tuple[T | None, tuple[Fault, ...]]:
    """A ``kind`` from plain data and no faults, or None and every fault."""
    try:
        return _converter().structure(data, kind), ()
    except Exception as error:  # cattrs raises groups; hooks and the parsers of texts raise single faults
        return None, tuple(_plainly(fault) for fault in transform_error(error, format_exception=_explain))


def from_plain(data: Any, kind: type[T], *, where: str = "") -> T:
    """Build a ``kind`` from plain data. Raises BadInput that names every fault and its path."""
    value, faults = decode(data, kind)
    if faults:
        raise BadInput("\n  ".join(map(str, faults)), where=where)
    return cast(T, value)


def from_json(text: str | bytes, kind: type[T], *, where: str = "") -> T:
    """Build a ``kind`` from JSON text. Raises BadInput for text that is no JSON or no ``kind``."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadInput(f"not JSON: {error}", where=where) from None
    except RecursionError:
        raise BadInput("JSON nested too deeply", where=where) from None
    return from_plain(data, kind, where=where)


def _explain(error: BaseException, kind: type | None) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)] if attrs.has(error.cl) else []
        return "; ".join(_unknown_key(key, known) for key in sorted(map(str, error.extra_fields)))
    if isinstance(error, KeyError):
        return f"the key {error.args[0]!r} is missing"
    if isinstance(error, ImagedError):
        return f"{error.what} ({error.hint.removesuffix('.')})" if error.hint else error.what
    if isinstance(error, AttributeError):  # a mapping field of cattrs' own
        return "expected a mapping of keys"
    return str(error) or type(error).__name__


def _unknown_key(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key {key!r}" + (f" (did you mean {near[0]!r}?)" if near else _list_known(known))


def _list_known(known: list[str]) -> str:
    return f" (known: {', '.join(known)})" if known else ""


def _plainly(fault: str) -> Fault:
    """cattrs says ``text @ $.disks[0].id``; people read ``disks[0].id: text``."""
    text, _, path = fault.rpartition(" @ ")
    path = re.sub(r"\['?([^]']+)'?\]", lambda m: f"[{m[1]}]", path.removeprefix("$").removeprefix("."))
    return Fault(path, text)
