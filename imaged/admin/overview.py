"""How many nodes stand towards their image, in a few questions to the database whatever their number."""

import json
from collections.abc import Iterator, Sequence
from functools import cache

from attrs import frozen

from imaged.admin.desk import Desk
from imaged.model.codec import from_json
from imaged.model.errors import ImagedError
from imaged.model.names import ImageRef
from imaged.model.next_boot import Booting, NextBoot
from imaged.model.node import Node
from imaged.model.outcome import Outcome, Updated
from imaged.planning.standing import Planned, in_step, planned, trouble
from imaged.store.generation import Generations

_FACTS = ("installed", "updated", "planned", "serial", "plan_hash", "drift_count", "boot_after")

_DONE, _WELL = '"outcome": "done"', Updated("", "", Outcome.DONE)


@frozen
class Standing:
    """``installed`` is the version on its disks, ``in_step`` says in a word or two whether that is what it should be.

    ``booting`` is what its next network boot does, ``drift`` the number of paths that differ, None: nobody looked.
    ``troubles`` are sentences without their full stops.
    """

    node: Node
    booting: str
    installed: str
    in_step: str
    drift: int | None
    troubles: tuple[str, ...]


def standings(desk: Desk, nodes: Sequence[Node]) -> Iterator[Standing]:
    """Of each of ``nodes``."""
    facts, said = desk.nodes.every(*_FACTS), desk.hosts.every()
    generations, scripts = Generations(desk.state), desk.runs.troubles()
    published = cache(lambda image: _published(desk, image))
    for node in nodes:
        row = facts.get(node.name)
        if row is None:  # removed just now
            continue
        generation = generations.of(node.name, node.image.image, node.groups)
        layers = node.groups, said(node.name, node.groups), generation
        now = planned(row.serial or "", node, row.plan_hash, layers)
        last = _ended(row.updated) if row.updated else None
        step = in_step(row.installed or "", published(node.image), last, Planned.read(row.planned), now)
        after = from_json(row.boot_after, NextBoot) if row.boot_after else None
        booting = str(Booting(NextBoot(node.action), after)) if after else node.action.value
        troubles = tuple(each for each in (node.reason, trouble(last), *scripts.get(node.name, ())) if each)
        yield Standing(node, booting, row.installed or "", step, row.drift_count, troubles)


def _ended(text: str) -> Updated:
    """How an update ended, without its counts, and without what is not asked of one that is done: decoding thousands
    takes longer than all the rest. Quotes within a message are escaped, so that nothing else reads like this."""
    if _DONE in text:
        return _WELL
    plain = json.loads(text)
    return Updated(plain["image"], plain["serial"], Outcome(plain["outcome"]), plain["message"])


def _published(desk: Desk, image: ImageRef) -> str:
    """Which version the name means now; empty where that cannot be told."""
    try:
        return desk.images.resolve(image).ref
    except ImagedError:
        return ""
