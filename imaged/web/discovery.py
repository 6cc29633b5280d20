"""Discovery: machines that wait for a name, the places that wait for machines, and who goes where. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.web.sheet import Block, Row

MOST: Final = 500  # machines, and places, on one page


@frozen
class Draft:
    """The places as a form has them; every field is text. See ``model.places.Places``."""

    names: str = ""
    image: str = ""
    layout: str = ""
    address: str = ""
    console: str = ""
    groups: str = ""
    skip: str = ""
    relay: str = ""
    action: str = ""


@frozen
class Spot:
    """A place: ``mac`` of the machine that has it, empty while it is free; ``next``: it is the next to be filled."""

    name: str
    address: str
    mac: str = ""
    state: str = ""
    next: bool = False


@frozen
class Offer:
    """What a rule proposes for a machine."""

    name: str
    rule: str


@frozen
class Waiting:
    """A machine without a name. ``place`` is the one that is offered to it, by a ``rule`` or as the next.

    ``kind`` is what it calls itself, ``names``: the reader may name it.
    """

    mac: str
    kind: str
    serial: str
    where: str
    uuid: str
    first: int
    last: int
    place: str
    rule: str
    names: bool


@frozen
class Progress:
    """How naming goes. ``since``, ``who``: machines are being named as they come; ``problem``: why that ended.

    ``proposed``: so many machines have a name by the rules. ``operates``: the reader may do all this.
    """

    proposed: int
    total: int
    free: int
    next: str
    since: int | None
    who: str
    problem: str
    operates: bool


@frozen
class Collecting:
    """What is going on: of ``admin.rack``."""

    since: float | None = None
    who: str = ""
    problem: str = ""


@frozen
class Discovery:
    """The page. ``choices``: images, layouts and groups to choose from; ``problem``: what is wrong with ``draft``."""

    draft: Draft
    defined: bool
    choices: Mapping[str, Sequence[str]]
    progress: Block
    machines: Block
    places: Block
    problem: str = ""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.progress, self.machines, self.places)


def discovery(
    draft: Draft, machines: Sequence[Machine], spots: Sequence[Spot], collecting: Collecting,
    offers: Mapping[Mac, Offer] = {}, *, choices: Mapping[str, Sequence[str]], operates: bool, problem: str = "",
) -> Discovery:  # fmt: skip
    """``spots`` in their order, those that are reserved left out; none while no places are defined.

    ``offers``: what the rules propose.
    """
    free = [each for each in spots if not each.mac]
    upcoming = free[0].name if free else ""
    since = None if collecting.since is None else int(collecting.since)
    progress = Progress(
        len(offers), len(spots), len(free), upcoming, since, collecting.who, collecting.problem, operates
    )
    return Discovery(
        draft,
        bool(spots),
        choices,
        Block("progress", "discovery.progress", progress),
        Block("machines", "discovery.machines", None, _machines(machines, offers, upcoming, operates)),
        Block("places", "discovery.places", None, _spots(spots, upcoming)),
        problem,
    )


def _machines(
    machines: Sequence[Machine], offers: Mapping[Mac, Offer], upcoming: str, operates: bool
) -> tuple[Row, ...]:
    return tuple(
        Row(f"m-{str(each.mac).replace(':', '')}", "discovery.machine", _waiting(each, offers, upcoming, operates))
        for each in machines[:MOST]
    )


def _waiting(machine: Machine, offers: Mapping[Mac, Offer], upcoming: str, operates: bool) -> Waiting:
    offer = offers.get(machine.mac)
    kind = " ".join(filter(None, (machine.vendor, machine.product))) or machine.arch or "unknown"
    where = f"relay {machine.relay}" if machine.relay else machine.address
    return Waiting(
        str(machine.mac), kind, machine.serial, where, machine.uuid, int(machine.first_seen), int(machine.last_seen),
        offer.name if offer else upcoming, offer.rule if offer else "", operates,
    )  # fmt: skip


def _spots(spots: Sequence[Spot], upcoming: str) -> tuple[Row, ...]:
    """Where there are too many, from a little before the next on."""
    at = next((number for number, each in enumerate(spots) if each.name == upcoming), 0)
    begin = max(0, min(at - 20, len(spots) - MOST))
    return tuple(
        Row(f"p-{each.name}", "discovery.place", each if each.name != upcoming else _next(each))
        for each in spots[begin : begin + MOST]
    )


def _next(spot: Spot) -> Spot:
    return Spot(spot.name, spot.address, spot.mac, spot.state, True)
