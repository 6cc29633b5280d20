"""A rack as the web page names it: places are defined once, and machines take them, by hand or as they come."""

from attrs import frozen

from imaged.admin import collecting, naming
from imaged.admin.collecting import Assignment
from imaged.admin.desk import Desk
from imaged.admin.naming import Named
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, ImagedError, NotFound
from imaged.model.names import node_name
from imaged.model.net import Mac
from imaged.model.places import Places
from imaged.planning.collect import Slot, slots
from imaged.planning.ranges import unfolded
from imaged.store.events import speaking_as
from imaged.store.rack import RackStore

_MOST = 5000  # places at once: they are all on one page


@frozen
class Rack:
    """``begun`` by ``who``: machines that were first seen ``since`` are named as they come; None: by hand only.

    ``problem``: why that has ended before every place was taken.
    """

    places: Places
    since: float | None = None
    begun: float | None = None
    who: str = ""
    problem: str = ""


def find(desk: Desk) -> Rack | None:
    """None: no places are defined."""
    kept = RackStore(desk.engine).get()
    if kept is None:
        return None
    places = from_json(kept.places, Places, where="the places of the rack")
    return Rack(places, kept.since, kept.begun, kept.who, kept.problem)


def define(desk: Desk, places: Places) -> None:
    """Other places from now on; whatever named machines for those before has ended. Raises BadInput, NotFound."""
    if len(collecting.begin(desk, places)) > _MOST:
        raise BadInput(f"these are more than {_MOST} places", where="names", hint="Name rack by rack.")
    RackStore(desk.engine).put(places.names, to_json(places))


def begin(desk: Desk, since: float) -> None:
    """Machines first seen then or later take the places in the order in which they came. Raises Conflict, BadInput."""
    rack = _rack(desk)
    if rack.since is not None:
        raise Conflict(f"machines are being named already, begun by {rack.who}")
    collecting.free(desk, rack.places)
    RackStore(desk.engine).begin(since)


def end(desk: Desk) -> None:
    """No machine is named by itself any more."""
    RackStore(desk.engine).end()


def go_on(desk: Desk) -> tuple[Named, ...]:
    """Name whoever has come since; ends by itself when all places are taken, or when it cannot go on."""
    rack = find(desk)
    if rack is None or rack.since is None or all(each.first_seen < rack.since for each in desk.machines.discovered()):
        return ()
    with speaking_as(rack.who):
        try:
            naming.check(desk, [rack.places])  # image, layout or groups may have gone since
            named, left = collecting.fill(desk, rack.places, since=rack.since)
        except ImagedError as error:
            RackStore(desk.engine).end(str(error))
            return ()
        if not left:
            RackStore(desk.engine).end()
        return named


def name(desk: Desk, mac: Mac, text: str) -> Named:
    """This machine takes this place, of the rack or of any other that is known. Raises as ``collecting``."""
    machine = next((each for each in desk.machines.discovered() if each.mac == mac), None)
    if machine is None:
        raise Conflict(f"{mac} does not wait for a name any more")
    return collecting.assign_named(desk, machine, Assignment(node_name(text.strip())))


def every(places: Places) -> tuple[Slot, ...]:
    """All places but the reserved ones, taken or not. Raises BadInput."""
    reserved = set(unfolded(places.skip)) if places.skip else set()
    return slots(unfolded(places.names), taken=(), reserved=reserved, first=places.address)


def _rack(desk: Desk) -> Rack:
    rack = find(desk)
    if rack is None:
        raise NotFound("no places are defined", hint="Say first which names machines are to be given.")
    return rack
