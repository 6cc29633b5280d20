"""Who uses which version of an image: what keeps it from being removed."""

from collections import defaultdict

import sqlalchemy as sa

from imaged.model.errors import NotFound
from imaged.store.images import Images
from imaged.store.nodes import Nodes

_FACTS = ("installing", "updating", "installed")


def users(engine: sa.Engine, images: Images) -> dict[str, tuple[str, ...]]:
    """Version (``compute@3``) -> words such as ``node01 (installed)``, every node that is to run it, runs it, or is
    about to."""
    nodes = Nodes(engine)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes.all():
        facts = nodes.facts(node.name)
        for fact in _FACTS:
            if facts[fact]:
                found[facts[fact]].append(f"{node.name} ({fact})")
        try:
            assigned = images.resolve(node.image).ref
        except NotFound:
            continue
        if not any(word.startswith(f"{node.name} ") for word in found[assigned]):
            found[assigned].append(f"{node.name} (assigned)")
    return {ref: tuple(words) for ref, words in found.items()}


def busy(engine: sa.Engine) -> dict[str, tuple[str, ...]]:
    """Version -> nodes that copy it at this moment: nothing may take it away from under them."""
    nodes = Nodes(engine)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes.all():
        facts = nodes.facts(node.name)
        for fact in ("installing", "updating"):
            if facts[fact] and (fact == "updating" or node.state.value == "installing"):
                found[facts[fact]].append(node.name)
    return {ref: tuple(names) for ref, names in found.items()}
