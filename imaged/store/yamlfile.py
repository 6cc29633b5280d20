"""THE door to YAML: strict loading, so that a slip in a file is a message and not a surprise."""

import re
from pathlib import Path
from typing import Any

import yaml

from imaged.model.errors import BadInput, NotFound


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys and leaves yes/no/on/off as the words they are (YAML 1.2)."""


_StrictLoader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp) for tag, regexp in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:int")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# A MAC such as 52:54:00:12:34:56 is a sexagesimal number in YAML 1.1, and 0644 is octal: neither here.
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true$|false$"), list("tf"))


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[str, Any]:
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


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse(text: str, *, where: str) -> Any:
    """Plain data of one YAML document. Raises BadInput that names ``where`` and the line."""
    try:
        return yaml.load(text, _StrictLoader)
    except BadInput as error:
        raise BadInput(error.what, where=where, hint=error.hint) from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadInput(f"{line}{error.problem or error}", where=where, hint="It is not valid YAML.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
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
