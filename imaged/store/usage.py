"""Who uses which version of an image: what keeps it from being removed."""

from collections import defaultdict
from functools import cache

import sqlalchemy as sa

from imaged.model.errors import ImagedError
from imaged.model.names import ImageRef
from imaged.model.node import NodeState
from imaged.store import channels, edits
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.nodes import Nodes

_FACTS = ("installing", "updating", "installed")
_UNDER_WAY = (NodeState.INSTALLING, NodeState.FAILED)  # one that failed waits in the ramdisk for whoever looks at it


def users(engine: sa.Engine, images: Images) -> dict[str, tuple[str, ...]]:
    """Version (``compute@3``) -> words such as ``node01 (installed)``, every node that is to run it, runs it, or is
    about to."""
    nodes = Nodes(engine)
    resolved = cache(lambda ref: _resolved(images, ref))
    found: defaultdict[str, list[str]] = defaultdict(list)
    everyone, facts = nodes.all(), nodes.every(*_FACTS)
    for node in (node for node in everyone if node.name in facts):  # the others were removed just now
        named = set()
        for fact in _FACTS:
            # What was being installed stays in the database when that has ended.
            ref = getattr(facts[node.name], fact)
            if ref and ref not in named and (fact != "installing" or node.state in _UNDER_WAY):
                named.add(ref)
                found[ref].append(f"{node.name} ({fact})")
        assigned = resolved(node.image)
        if assigned and assigned not in named:
            found[assigned].append(f"{node.name} (assigned)")
    for group in Groups(engine).all():
        if assigned := resolved(group.setup.image):
            found[assigned].append(f"group {group.name}")
    return {ref: tuple(words) for ref, words in found.items()}


def followers(engine: sa.Engine, name: str) -> tuple[str, ...]:
    """Nodes and groups that have something to do with the image ``name``, whether or not there is such a version."""
    nodes = Nodes(engine)
    everyone, facts = nodes.all(), nodes.every(*_FACTS)
    found = []
    for node in (node for node in everyone if node.name in facts):
        refs = (str(node.image), *(ref or "" for ref in facts[node.name][1:]))
        if any(ref.partition("@")[0] == name for ref in refs):
            found.append(node.name)
    return (*found, *(f"group {group.name}" for group in Groups(engine).all() if group.setup.image.image == name))


def busy(engine: sa.Engine) -> dict[str, tuple[str, ...]]:
    """Version -> nodes that copy it at this moment: nothing may take it away from under them."""
    nodes = Nodes(engine)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, facts in nodes.every("state", "installing", "updating").items():
        if facts.updating:
            found[facts.updating].append(name)
        if facts.installing and facts.state == NodeState.INSTALLING.value:
            found[facts.installing].append(name)
    return {ref: tuple(names) for ref, names in found.items()}


def needed(images: Images, name: str) -> dict[int, tuple[str, ...]]:
    """Number of a version -> why it is needed, nodes apart: channels, their way back, and a copy that is edited."""
    there = images.numbers(name)
    found: defaultdict[int, list[str]] = defaultdict(list)
    for channel, history in images.histories(name).items():
        found[history[0]].append(f"is {channel}")
        if back := channels.before(history, there):
            found[back].append(f"was {channel} before")
    if copy := edits.mark(images, name):
        found[copy.base].append(f"is what {copy.who} edits a copy of")
    return {number: tuple(why) for number, why in found.items()}


def _resolved(images: Images, ref: ImageRef) -> str:
    try:
        return images.resolve(ref).ref
    except ImagedError:  # no such channel; a damaged version is said where it is looked at
        return ""
