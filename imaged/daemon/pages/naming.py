"""Discovery: machines get the names of places, by a click, by a drag, by the rules, or as they come."""

import re
from collections.abc import Mapping
from functools import lru_cache

from imaged.admin import discovery as rules
from imaged.admin import groups, rack
from imaged.admin.desk import Desk
from imaged.admin.groups import NewGroup
from imaged.admin.rack import Rack
from imaged.daemon.pages.nodes import image_names
from imaged.daemon.pages.visit import Fields, Page, See, Visit
from imaged.model.access import Role
from imaged.model.errors import ImagedError
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction
from imaged.model.places import Places, Rule
from imaged.planning import defining, sessions
from imaged.store import layouts
from imaged.store.lives import Lives
from imaged.web import discovery as view
from imaged.web.discovery import Collecting, Draft, Offer, Spot

_HOME = "/discovery"
_DRAFT = ("names", "image", "layout", "address", "console", "groups", "skip", "relay", "action")


def discovery(visit: Visit) -> Page:
    """Machines without a name, places without a machine."""
    it = shown(visit)
    return Page("discovery", it, it.blocks)


def shown(visit: Visit, form: Fields | None = None, problem: str = "") -> view.Discovery:
    """As the pages have it; ``form``: what was sent and has a ``problem``."""
    desk, found = visit.desk, rack.find(visit.desk)
    choices = {
        "images": image_names(visit),
        "layouts": layouts.names(desk.state.layouts),
        "groups": tuple(group.name for group in desk.groups.all()),
        "actions": defining.FIRST,
    }
    collecting = Collecting(found.begun, found.who, found.problem) if found else Collecting()
    draft = _sent(form) if form else _kept(found.places) if found else Draft(image=next(iter(choices["images"]), ""))
    machines = desk.machines.discovered()
    return view.discovery(
        draft, machines, spots(visit, found), collecting, _offers(visit, tuple(each.mac for each in machines)),
        choices=choices, operates=visit.may(Role.OPERATOR), problem=problem,
    )  # fmt: skip


def spots(visit: Visit, found: Rack | None) -> tuple[Spot, ...]:
    """The places of the rack, with the machines that have them."""
    if found is None:
        return ()
    glance, slots = visit.glance(), rack.every(found.places)
    macs = Lives(visit.desk.engine).macs(slot.name for slot in slots)
    states = {slot.name: glance.courses[slot.name].standing.value for slot in slots if slot.name in glance.courses}
    return tuple(
        Spot(slot.name, str(slot.address or ""), ", ".join(macs.get(slot.name, ())), states.get(slot.name, ""))
        for slot in slots
    )


def define(visit: Visit) -> Page | See:
    """Other places."""
    form = visit.form
    try:
        rack.define(visit.desk, _places(visit, form))
    except ImagedError as error:
        it = shown(visit, form, str(error))
        return Page("discovery", it, it.blocks, 422)
    return See(_back(form), f"Machines may take the places {form.text('names')} now.")


def begin(visit: Visit) -> See:
    """Machines are named as they come."""
    rack.begin(visit.desk, 0.0 if visit.form.text("seen") else visit.now)
    return See(_back(visit.form))


def end(visit: Visit) -> See:
    """They are not any more."""
    rack.end(visit.desk)
    return See(_back(visit.form), "Machines are named by hand only.")


def name(visit: Visit) -> See:
    """One machine takes one place. Each machine's name is in a field that is called by its MAC."""
    mac = Mac.parse(visit.form.text("mac"))
    named = rack.name(visit.desk, mac, visit.form.text(str(mac)))
    return See(_back(visit.form), f"{mac} is {named.node.name} now.")


def approve(visit: Visit) -> See:
    """All that the rules propose."""
    named = rules.approve(visit.desk, rules.read_rules(visit.desk.state))
    return See(_back(visit.form), f"{len(named)} named as the rules propose.")


def ignore(visit: Visit) -> See:
    """A machine is never offered again."""
    mac = Mac.parse(visit.form.text("ignore"))
    visit.desk.machines.ignore([mac], ignored=True)
    return See(_back(visit.form), f"{mac} is not offered any more. On the server: imaged ignore {mac} --undo.")


def add_group(visit: Visit) -> See:
    """A new group, with nothing in it."""
    made = groups.add(visit.desk, NewGroup(visit.form.text("name")))
    return See("/setup/nodes", f"There is a group {made.name} now.")


def _back(form: Fields) -> str:
    return sessions.inside(form.text("back"), _HOME)


def _offers(visit: Visit, macs: tuple[Mac, ...]) -> Mapping[Mac, Offer]:
    """What the rules propose; nothing where their file has faults, which `imaged lsmachine` tells."""
    try:
        found = rules.read_rules(visit.desk.state)
    except ImagedError:
        return {}
    return _proposed(visit.desk, found, macs, tuple(visit.glance().lives)) if found else {}


@lru_cache(maxsize=4)  # a page that is open asks the same once a second, and all nodes are read for it
def _proposed(desk: Desk, found: tuple[Rule, ...], _macs: tuple[Mac, ...], _names: tuple[str, ...]) -> dict[Mac, Offer]:
    return {
        each.machine.mac: Offer(each.slot.name, each.rule.name)
        for each in rules.proposed(desk, found)
        if each.slot and each.rule
    }


def _places(visit: Visit, form: Fields) -> Places:
    action = BootAction(text) if (text := defining.first(form.text("action"))) else None
    return Places(
        form.text("names"), ImageRef.parse(text) if (text := form.text("image")) else NO_IMAGE, form.text("layout"),
        defining.address(form.text("address"), visit.desk.settings), defining.console(form.text("console")), action,
        form.words("groups"), form.text("skip"), form.text("relay"),
    )  # fmt: skip


def _kept(places: Places) -> Draft:
    return Draft(
        places.names, str(places.image), places.layout, str(places.address or ""), places.console,
        ", ".join(places.groups), places.skip, places.relay, places.action.value if places.action else "",
    )  # fmt: skip


def _sent(form: Fields) -> Draft:
    return Draft(**{key: re.sub(r"\s+", " ", form.text(key))[:500] for key in _DRAFT})
