"""Groups in SystemImager's cluster.xml. It knows no MACs: another file has to tell them."""

from imaged.model.errors import BadInput
from imaged.model.group import DEFAULT_PRIORITY, Group, group_name
from imaged.model.setup import Setup
from imaged.planning.imports.xmltree import Element, parse
from imaged.planning.roster.c3 import expanded
from imaged.planning.roster.entries import Entry, Roster, image


def cluster_xml(text: str) -> Roster:
    """Each ``<group>`` with its priority, image and ``<node>``s, which may be ranges (``node[1-8]``, ``n1,n2``)."""
    root = parse(text)
    if root.name != "root":
        raise BadInput(f"line {root.line}: <{root.name}> is not the <root> of a cluster.xml")
    entries: dict[str, Entry] = {}
    groups, notes = [], []
    for group in root.children:
        if group.name != "group":
            if group.name not in ("name", "master"):
                notes.append((group.line, f"<{group.name}> is not carried over"))
            continue
        name = group_name(_one(group, "name").lower())
        setup = Setup(image(_one(group, "image"), f"line {group.line}"))
        priority = _one(group, "priority")
        if priority and not (priority.isascii() and priority.isdigit()):
            raise BadInput(f"line {group.line}: the priority {priority!r} of {name} is no number")
        groups.append(Group(name, int(priority) if priority else DEFAULT_PRIORITY, setup))
        for child in group.children:
            if child.name == "node":
                for node in _nodes(child):
                    entries[node] = Entry(node, groups=(*(entries[node].groups if node in entries else ()), name))
            elif child.name not in ("name", "image", "priority"):
                notes.append((child.line, f"<{child.name}> of {name} is not carried over"))
    return Roster(tuple(entries.values()), tuple(groups), tuple(notes))


def _one(group: Element, name: str) -> str:
    found = [child.text for child in group.children if child.name == name and child.text]
    if name == "name" and not found:
        raise BadInput(f"line {group.line}: a group without a name")
    return found[0] if found else ""


def _nodes(element: Element) -> list[str]:
    words = element.text.replace(",", " ").split()
    return [name for word in words for name in expanded(word, element.line).values()]
