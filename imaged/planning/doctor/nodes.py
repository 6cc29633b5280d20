"""Nodes against what they need: images, layouts, addresses; and files for names that nobody has."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.names import ImageRef
from imaged.model.node import Node
from imaged.model.places import Rule
from imaged.model.settings import Settings
from imaged.planning.defining import refuse_address
from imaged.planning.doctor.finding import Finding, Voice
from imaged.planning.scripts import is_for

_SAY, _FILES, _RULES = Voice("nodes"), Voice("files"), Voice("rules")
_SUFFIXES = (".protect", ".exclude")


@frozen
class Named:
    """What names there are."""

    images: frozenset[str]
    groups: frozenset[str]
    nodes: frozenset[str]


def findings(
    nodes: Sequence[Node], images: Mapping[ImageRef, str], layouts: Mapping[str, str], settings: Settings
) -> Iterator[Finding]:
    """``images`` and ``layouts`` have for each that a node names why it is no good, or an empty text."""
    wrong = 0
    for ref, fault in images.items():
        if fault:
            wrong += 1
            todo = "`imaged lsimage` shows what there is, `imaged setnode NODES --image` gives them another."
            yield _SAY.error(f"{_who(n.name for n in nodes if n.image == ref)}: {fault}", f"image {ref}", todo)
    for name, fault in layouts.items():
        if fault:
            wrong += 1
            yield _SAY.error(f"{_who(n.name for n in nodes if n.layout == name)}: {fault}", f"layout {name}")
    for node in nodes:
        if fault := _address_fault(node, settings):
            wrong += 1
            yield _SAY.error(fault, node.name, f"`imaged setnode {node.name} --address` gives it another.")
    if not wrong:
        yield _SAY.ok(f"{len(nodes)} nodes have images, layouts and addresses that there are")


def _address_fault(node: Node, settings: Settings) -> str:
    if node.address is None:
        return ""
    try:
        refuse_address(node.address, settings)
    except BadInput as error:
        return error.what
    router = next((each for each in settings.dhcp.subnets if each.router == node.address), None)
    return f"{node.address} is the router's of {router.network}" if router else ""


def file_findings(layers: Sequence[str], scripts: Mapping[str, Sequence[str]], known: Named) -> Iterator[Finding]:
    """``layers`` are names below overrides/ (``group/gpu``, ``node/n1.protect``), ``scripts`` those of each kind."""
    wrong = 0
    for name in layers:
        if fault := _layer_fault(name, known):
            wrong += 1
            yield _FILES.warning(fault, f"overrides/{name}", "Nothing of it reaches any node.")
    words = ("all", *known.images, *known.groups, *known.nodes)
    for kind, names in scripts.items():
        for name in names:
            if not any(is_for(name, word) for word in words):
                wrong += 1
                what = "is for no image, group or node that there is"
                yield _FILES.warning(what, f"scripts/{kind}/{name}", "It runs nowhere: see docs/scripts.md for names.")
    if not wrong:
        yield _FILES.ok("overrides and scripts are for names that there are")


def _layer_fault(name: str, known: Named) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    kind, slash, who = name.partition("/")
    if name == "all":
        return ""
    names: Collection[str] | None = {"image": known.images, "group": known.groups, "node": known.nodes}.get(kind)
    if names is None or not slash:
        return "is no layer (all, image/NAME, group/NAME, node/NAME)"
    return "" if who in names else f"there is no {kind} {who!r}"


def rule_findings(
    rules: Sequence[Rule], fault: str, broken: Mapping[str, str], full: Mapping[str, str]
) -> Iterator[Finding]:
    """``fault``: the file cannot be read. ``broken`` has rules with what is wrong with what they make of machines,
    ``full`` with what is wrong with their places."""
    if fault:
        yield _RULES.error(fault, "rules.yaml", "Until then no machine gets a name by a rule.")
        return
    for rule in rules:
        if why := broken.get(rule.name):
            yield _RULES.error(why, f"rule {rule.name}")
        elif why := full.get(rule.name):
            yield _RULES.warning(why, f"rule {rule.name}", "No machine can get a name by it.")
    if rules and not any((*broken.values(), *full.values())):
        yield _RULES.ok(f"{len(rules)} rules, each with places left")


def _who(names: Iterator[str] | Sequence[str]) -> str:
    found = tuple(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
