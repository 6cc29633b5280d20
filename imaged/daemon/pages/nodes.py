"""Pages of nodes: the overview, and all that is known of one."""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from imaged.admin import nodes, ranges
from imaged.admin.nodes import NodeChanges
from imaged.daemon.pages.visit import Fields, Page, See, Visit
from imaged.model.codec import from_json
from imaged.model.errors import CannotPlan, ImagedError, NotFound
from imaged.model.names import ImageRef
from imaged.model.node import Node
from imaged.model.outcome import Drift, Updated
from imaged.planning.install import plan_hash
from imaged.planning.leftovers import leftovers
from imaged.planning.show import plan_text
from imaged.store import layouts
from imaged.store.events import Event, Events
from imaged.web import node as view
from imaged.web import words
from imaged.web.overview import Asked, overview
from imaged.web.sheet import Block

_EVENTS = 200  # of one node, on its page
_LOG = 64 * 1024  # bytes of the end of a log
_MOST_EVENTS = 500


def every(visit: Visit) -> Page:
    """The overview."""
    query = visit.query
    asked = Asked(query.text("nodes"), query.text("state"), query.text("open"), query.number("skip"))
    glance, wanted, problem = visit.glance(), None, ""
    if asked.nodes:
        try:
            wanted = _among(asked.nodes, tuple(glance.groups.items()), tuple(glance.lives))
        except ImagedError as error:
            wanted, problem = frozenset(), str(error)
    it = overview(glance.lives, glance.courses, glance.groups, asked, wanted, glance.foreign)
    return Page("overview", it, it.blocks, problem=problem)


@lru_cache(maxsize=64)  # a page that is open asks the same once a second
def _among(text: str, groups: tuple[tuple[str, tuple[str, ...]], ...], everyone: tuple[str, ...]) -> frozenset[str]:
    return ranges.among(text, dict(groups), everyone)


def summary(visit: Visit) -> Page:
    """How a node does, and what it is."""
    node, frame = _framed(visit, "")
    store, life = visit.desk.nodes, visit.glance().lives[node.name]
    facts = store.facts(node.name)
    it = view.summary(
        frame, node, life, facts, store.reports(node.name), meant=visit.meant(node.image),
        groups=visit.desk.groups.of(node.name),
        updated=from_json(facts["updated"], Updated) if facts["updated"] else None,
        drift=from_json(facts["drift"], Drift) if facts["drift"] else None,
    )  # fmt: skip
    return Page("summary", it, it.blocks)


def hardware(visit: Visit) -> Page:
    """A node's inventory."""
    node, frame = _framed(visit, "hardware")
    it = view.hardware(frame, visit.desk.nodes.inventory(node.name))
    return Page("hardware", it, it.blocks)


def plan(visit: Visit) -> Page:
    """What an install of the node would do."""
    node, frame = _framed(visit, "plan")
    inventory = visit.desk.nodes.inventory(node.name)
    if inventory is None:
        it = view.Plan(frame, problem="Its hardware is not known yet: there is no plan before it was reported.")
        return Page("plan", it, it.blocks)
    try:
        made = visit.provisioning.plan(node, inventory)
        digest = plan_hash(made)
        text = plan_text(made, digest, leftovers(visit.provisioning.facts_of(made), made))
        it = view.Plan(frame, text, digest)
    except (CannotPlan, ImagedError) as error:
        it = view.Plan(frame, problem=str(error))
    return Page("plan", it, it.blocks)


def line_of(tab: str) -> Callable[[Visit], Sequence[Block]]:
    """What changes of a tab that is itself made only when somebody asks for it."""
    return lambda visit: (_framed(visit, tab)[1].line,)


def history(visit: Visit) -> Page:
    """What was changed of a node, and what happened to it."""
    node, frame = _framed(visit, "history")
    it = view.history(frame, _happenings(visit, (node.name,), _EVENTS))
    return Page("history", it, it.blocks)


def log(visit: Visit) -> Page:
    """The end of a node's log."""
    node, frame = _framed(visit, "log")
    it = view.Log(frame, Block("text", "node.log", _tail(visit.desk.state.logs / f"{node.name}.log")))
    return Page("log", it, it.blocks)


def events(visit: Visit) -> Page:
    """What was changed of everything."""
    wanted = visit.query.words("of")
    table = view.happenings(_happenings(visit, wanted, _MOST_EVENTS))
    return Page("events", {"events": table, "of": " ".join(wanted), "most": _MOST_EVENTS}, (table,))


def ask_change(visit: Visit) -> Page:
    """The form by which a node's definition is changed."""
    return _form(visit, _node(visit))


def change(visit: Visit) -> Page | See:
    """Change a node's definition."""
    node, form = _node(visit), visit.form
    before, wanted = set(visit.desk.groups.of(node.name)), set(form.words("groups"))
    try:
        changes = NodeChanges(
            image=ImageRef.parse(form.text("image")), layout=form.text("layout"), address=form.text("address"),
            console=form.text("console"), join=tuple(sorted(wanted - before)), leave=tuple(sorted(before - wanted)),
        )  # fmt: skip
        nodes.change(visit.desk, (node.name,), changes)
    except ImagedError as error:
        return _form(visit, node, form, str(error))
    return See(f"/nodes/{node.name}", f"{node.name} was changed.")


def _form(visit: Visit, node: Node, form: Fields | None = None, problem: str = "") -> Page:
    kept = {
        "image": str(node.image), "layout": node.layout, "address": str(node.address or ""), "console": node.console,
        "groups": ", ".join(visit.desk.groups.of(node.name)),
    }  # fmt: skip
    shown = {key: form.text(key) if form else text for key, text in kept.items()}
    choices = {"images": image_names(visit), "layouts": layouts.names(visit.desk.state.layouts)}
    return Page("change", {"name": node.name, "problem": problem, **shown, **choices}, status=422 if problem else 200)


def image_names(visit: Visit) -> tuple[str, ...]:
    """What a field for an image offers: ``compute@stable``."""
    images = visit.desk.images
    return tuple(f"{name}@{channel}" for name in images.names() for channel in images.channels(name))


def _framed(visit: Visit, tab: str) -> tuple[Node, view.Frame]:
    node, glance = _node(visit), visit.glance()
    if node.name not in glance.lives:  # removed since
        raise NotFound(f"no node {node.name!r}")
    return node, view.frame(glance.lives[node.name], glance.courses[node.name], tab)


def _node(visit: Visit) -> Node:
    return visit.desk.nodes.get(visit.names["name"])


def _happenings(visit: Visit, subjects: Sequence[str], most: int) -> tuple[view.Happening, ...]:
    return tuple(map(_happening, Events(visit.desk.engine).last(most, subjects)))


def _happening(event: Event) -> view.Happening:
    differences = words.difference(event.before, event.after)
    return view.Happening(event.id, int(event.time), event.who, event.what, event.subject, differences)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG))
            text = file.read(_LOG).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return text if size <= _LOG else text.partition("\n")[2]
