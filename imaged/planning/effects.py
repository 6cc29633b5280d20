"""What a change of groups changes of nodes: which of them are to run or to be something else. Pure."""

from collections.abc import Mapping

from attrs import frozen

from imaged.model.node import Node


@frozen
class Effect:
    """``what`` (``image``, ``var.rack``) was ``before`` of these nodes and is ``after`` now; empty: nothing."""

    what: str
    before: str
    after: str
    nodes: tuple[str, ...]


def told(node: Node) -> dict[str, str]:
    """What groups may change of a node; by their order go overrides and scripts."""
    variables = {f"var.{name}": text for name, text in node.variables.items()}
    plain = {"image": str(node.image), "layout": node.layout, "console": node.console, "groups": " ".join(node.groups)}
    return plain | variables


def effects(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> tuple[Effect, ...]:
    """From what was ``told`` of the same nodes; those of which the same becomes different are one."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, now in after.items():
        was = before[name]
        for key in dict.fromkeys((*was, *now)):
            if was.get(key, "") != now.get(key, ""):
                found.setdefault((key, was.get(key, ""), now.get(key, "")), []).append(name)
    return tuple(Effect(*what, tuple(names)) for what, names in found.items())
