"""THE door to YAML: strict loading, so that a slip in a file is a message and not a surprise."""

import re
from pathlib import Path
from typing import Any

import yaml

from imaged.model.errors import BadInput, NotFound

_YAML = "tag:yaml.org,2002:"


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys and takes no word for something else (YAML 1.2's core schema)."""


# In YAML 1.1 yes, no, on, off are booleans, 52:54:00:12:34:56 and 1:30.5 numbers to the base of 60, 0644 is octal and
# 2026-11-21 a date: here they are the words that they look like.
_StrictLoader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp)
        for tag, regexp in resolvers
        if tag.removeprefix(_YAML) not in ("bool", "int", "float", "timestamp", "value")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(f"{_YAML}int", re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(f"{_YAML}float", re.compile(r"[-+]?[0-9]+\.[0-9]+$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(f"{_YAML}bool", re.compile(r"true$|false$"), list("tf"))


def _mapping(loader: _StrictLoader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise BadInput(f"line {node.start_mark.line + 1}: expected a mapping of keys")
    pairs: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise BadInput(f"line {line}: the key {key!r} must be a word")
        if key in pairs:
            raise BadInput(f"line {line}: the key {key!r} is there twice", hint="Keep one of them.")
        pairs[key] = loader.construct_object(value_node, deep=True)
    return pairs


def _sequence(loader: _StrictLoader, node: yaml.Node) -> list[Any]:
    """Built at once, unlike PyYAML's own, so that a list within itself is refused and not built."""
    if not isinstance(node, yaml.SequenceNode):
        raise BadInput(f"line {node.start_mark.line + 1}: expected a list")
    return [loader.construct_object(each, deep=True) for each in node.value]


def _refuse_tag(_loader: _StrictLoader, node: yaml.Node) -> None:
    tag = str(node.tag).replace(_YAML, "!!")
    if tag == "!!merge":
        raise BadInput(f"line {node.start_mark.line + 1}: << is not known here", hint="Write the keys out.")
    raise BadInput(f"line {node.start_mark.line + 1}: the tag {tag} is not known here", hint="Leave it out.")


_StrictLoader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag in (f"{_YAML}null", f"{_YAML}bool", f"{_YAML}int", f"{_YAML}float", f"{_YAML}str")
}
_StrictLoader.add_constructor(f"{_YAML}map", _mapping)
_StrictLoader.add_constructor(f"{_YAML}seq", _sequence)
_StrictLoader.add_constructor(None, _refuse_tag)


def parse(text: str, *, where: str) -> Any:
    """Plain data of one YAML document. Raises BadInput that names ``where`` and the line."""
    try:
        return yaml.load(text, _StrictLoader)
    except BadInput as error:
        raise BadInput(error.what, where=where, hint=error.hint) from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadInput(f"{line}{error.problem or error}", where=where, hint="It is not valid YAML.") from None
    except RecursionError:
        raise BadInput("YAML nested too deeply", where=where) from None
    except (yaml.YAMLError, ValueError, KeyError) as error:  # the last two: !!int and !!bool before any other word
        raise BadInput(f"not valid YAML: {error}", where=where) from None


def load(path: Path) -> Any:
    """Plain data of a YAML file. Raises NotFound or BadInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound("no such file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"byte {error.start} is not UTF-8", where=str(path)) from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from None
    return parse(text, where=str(path))
