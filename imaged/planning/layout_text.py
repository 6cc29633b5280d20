"""Plain data of a layout to the text of its file, in the shape that people write: one line for a partition. Pure.

YAML is written by hand here because only ``store.yamlfile`` has the library, and for the shape; ``store.yamlfile``
reads it back as the same data.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+=-]*|[0-9]+(?:\.[0-9]+)?[KMGT]B?")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # a boolean to one YAML or another


def layout_text(data: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """``data`` as a YAML document, with ``comments`` above it."""
    lines = [f"# {printable(comment)}" for comment in comments]
    for key, value in data.items():
        if isinstance(value, list) and value:
            lines.append(f"{key}:")
            for item in value:
                lines += item_lines(item, "  ")
        else:
            lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"


def item_lines(item: Any, indent: str) -> Iterator[str]:
    """An entry of a list: on one line, but what has a list of mappings itself on several."""
    if not isinstance(item, Mapping) or not any(map(_nested, item.values())):
        yield f"{indent}- {flow(item)}"
        return
    for line, mark in zip(_block(item, ""), chain(("- ",), repeat("  ")), strict=False):
        yield f"{indent}{mark}{line}"


def _block(data: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in data.items():
        if not _nested(value):
            yield f"{indent}{key}: {flow(value)}"
            continue
        yield f"{indent}{key}:"
        if isinstance(value, Mapping):
            yield from _block(value, indent + "  ")
        else:
            for each in value:
                yield from item_lines(each, indent + "  ")


def _nested(value: Any) -> bool:
    """A list of mappings, or a mapping with such a list."""
    if isinstance(value, Mapping):
        return any(map(_nested, value.values()))
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value)


def flow(value: Any) -> str:
    """On one line, as ``{id: root, size: {min: 4G}}``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def printable(text: str) -> str:
    """With what YAML does not take as it is, or a terminal should not see, as ``\\U0000001b``."""
    return "".join(each if each.isprintable() and each != "\ufeff" else f"\\U{ord(each):08x}" for each in text)
