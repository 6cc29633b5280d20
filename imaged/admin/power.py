"""The power of nodes: what switches it, and switching it, many at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from attrs import evolve, field, frozen

from imaged.admin import boot, ranges
from imaged.admin.desk import Desk
from imaged.admin.jobs import Job, Running
from imaged.model.errors import BadInput, Conflict, ImagedError
from imaged.model.group import group_name
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction, Node
from imaged.model.power import PowerAccess, PowerAction, PowerKind, fingerprint
from imaged.model.wishes import Wishes
from imaged.planning import power as planning
from imaged.power.bmc import Order
from imaged.power.certificate import certificates
from imaged.power.fanout import Ended, Work, fan_out
from imaged.store.events import Events
from imaged.store.powers import Powers

_PIN_SECONDS = 5.0
_LONGEST = 3600  # seconds
_NO_WISHES = Wishes()


def _nobody(_: object) -> None:
    """Listens."""


@frozen
class Limits:
    """``fanout`` BMCs at once, each begun ``stagger`` seconds after the one before, none longer than ``seconds``."""

    fanout: int = field(default=64, metadata={"limits": {"minimum": 1, "maximum": 1024}})
    stagger: float = field(default=0.0, metadata={"limits": {"minimum": 0, "maximum": _LONGEST}})
    seconds: float = field(default=60.0, metadata={"limits": {"minimum": 1, "maximum": _LONGEST}})


def checked(limits: Limits) -> Limits:
    """The same. Raises BadInput for what is no limit."""
    for key, least, most in (("fanout", 1, 1024), ("stagger", 0, _LONGEST), ("seconds", 1, _LONGEST)):
        if not least <= getattr(limits, key) <= most:
            raise BadInput(f"{getattr(limits, key)} is not within {least} to {most}", where=key)
    return limits


def define(desk: Desk, names: Sequence[str], access: PowerAccess | None, *, pin: bool = False) -> tuple[str, ...]:
    """What switches these nodes from now on; None: what their groups say. Of all or of none; their names.

    ``pin``: take the certificate that each BMC shows now, and no other from then on. Raises BadInput, NotFound,
    Unreachable.
    """
    found = tuple(node.name for node in ranges.named(desk, names))
    if access:
        _refuse_nonsense(access, pin=pin)
    said: dict[str, PowerAccess | None] = dict.fromkeys(found, access)
    if access and pin:
        shown = certificates({name: access.address.of(name) for name in found}, _PIN_SECONDS)
        said = {name: evolve(access, fingerprint=shown[name]) for name in found}
    Powers(desk.engine).put_nodes(said)
    return found


def define_group(desk: Desk, name: str, access: PowerAccess | None) -> str:
    """What switches the nodes of a group of which nothing else is said. Raises BadInput, NotFound."""
    desk.groups.get(group_name(name))
    if access:
        _refuse_nonsense(access, pin=False)
    Powers(desk.engine).put_group(name, access)
    return name


def _refuse_nonsense(access: PowerAccess, *, pin: bool) -> None:
    redfish = access.address.kind is PowerKind.REDFISH
    if not redfish and (pin or access.fingerprint or not access.verify):
        raise BadInput("only Redfish shows a certificate", where=access.address.kind.value)
    if access.fingerprint and fingerprint(access.fingerprint) != access.fingerprint:
        raise BadInput("write it as 64 hex digits", where="fingerprint")
    if bool(access.password) is (access.address.kind is PowerKind.WOL):
        raise BadInput("a BMC wants a password, and wake-on-LAN none", where="password")


def accesses(desk: Desk, nodes: Iterable[Node]) -> dict[str, PowerAccess]:
    """What switches each of ``nodes``."""
    powers = Powers(desk.engine)
    own, of_groups = powers.nodes(), powers.groups()
    return {
        node.name: planning.access(
            own.get(node.name),
            (of_groups[group] for group in desk.groups.of(node.name) if group in of_groups) if of_groups else (),
            node.name,
        )
        for node in nodes
    }


def orders(
    desk: Desk, nodes: Iterable[Node], actions: Mapping[str, PowerAction], limits: Limits, *, network: bool = False
) -> tuple[Order, ...]:
    """What to do for ``nodes`` by their ``actions``; those that have none are left out."""
    chosen = tuple(node for node in nodes if node.name in actions)
    return tuple(
        _order(desk, node, access, actions[node.name], limits.seconds, network=network)
        for node, access in zip(chosen, accesses(desk, chosen).values(), strict=True)
    )


def _order(desk: Desk, node: Node, access: PowerAccess, action: PowerAction, seconds: float, *, network: bool) -> Order:
    if access.address.kind is PowerKind.WOL:
        settings = desk.settings
        broadcasts = planning.broadcasts(node.address, settings.dhcp.subnets)
        return Order(
            node.name, access, action, seconds, network=network, macs=node.macs, interfaces=settings.interfaces,
            broadcasts=broadcasts,
        )  # fmt: skip
    if not network:
        return Order(node.name, access, action, seconds)
    inventory = desk.nodes.inventory(node.name)
    seen = [machine.arch for machine in map(desk.machines.find, node.macs) if machine]
    firmware = planning.firmware(inventory.firmware if inventory else None, seen)
    return Order(node.name, access, action, seconds, network=True, firmware=firmware)


def switch(
    desk: Desk, nodes: Sequence[Node], action: PowerAction, limits: Limits, *, network: bool = False,
    on_ended: Callable[[Ended], None] = _nobody, on_start: Callable[[Callable[[], object]], None] = _nobody,
) -> tuple[Ended, ...]:  # fmt: skip
    """Do ``action`` on all of ``nodes``; every answer, also of those that failed, and an event of each that tells it.

    ``on_start`` as for ``fan_out``.
    """
    wanted = orders(desk, nodes, {node.name: action for node in nodes}, limits, network=network)
    hear = on_ended if action is PowerAction.STATUS else _noting(desk, action.value, on_ended)
    return fan_out(Work(wanted, limits.fanout, limits.stagger), hear, on_start)


def _noting(desk: Desk, word: str, on_ended: Callable[[Ended], None]) -> Callable[[Ended], None]:
    """Where a machine's power was switched, its history tells by whom, and how that went."""
    events = Events(desk.engine)

    def hear(ended: Ended) -> None:
        events.tell("power", ended.node, {word: told(ended)})
        on_ended(ended)

    return hear


def told(ended: Ended) -> str:
    """In one line or a few, without the address of a BMC, so that equal answers are equal."""
    if ended.outcome:
        return ended.outcome.text
    assert ended.fault
    return "\n  ".join(part for part in (ended.fault.what, ended.fault.hint) if part)


def begin(desk: Desk, nodes: Sequence[Node], action: PowerAction, limits: Limits, *, network: bool = False) -> Job:
    """``switch``, which nobody waits for."""
    act = partial(switch, desk, nodes, action, limits, network=network)
    return _begin(desk, nodes, action.value, act)


def begin_install(desk: Desk, nodes: Sequence[Node], limits: Limits, wishes: Wishes = _NO_WISHES) -> Job:
    """``install``, which nobody waits for."""
    return _begin(desk, nodes, "install", partial(install, desk, nodes, limits, wishes))


def _begin(desk: Desk, nodes: Sequence[Node], word: str, act: Callable[..., object]) -> Job:
    """Also where nothing could be begun, each node's history tells it."""

    def run(running: Running) -> None:
        def hear(ended: Ended) -> None:
            running.say(ended.node, told(ended), failed=bool(ended.fault))

        try:
            act(on_ended=hear, on_start=running.can_be_ended)
        except ImagedError as error:
            for node in nodes if word != PowerAction.STATUS.value else ():
                Events(desk.engine).tell("power", node.name, {word: str(error)})
            raise

    return desk.jobs.begin(f"power {word}", ranges.folded([node.name for node in nodes]), run)


def look(desk: Desk, nodes: Sequence[Node], limits: Limits) -> tuple[Ended, ...]:
    """The state of those that have a BMC: nothing begins later than another, where nothing is switched."""
    behind = {name for name, access in accesses(desk, nodes).items() if access.address.kind is not PowerKind.WOL}
    return switch(
        desk, [node for node in nodes if node.name in behind], PowerAction.STATUS, evolve(limits, stagger=0.0)
    )


def cut_off(action: PowerAction, looked: Iterable[Ended]) -> tuple[str, ...]:
    """The nodes that ``action`` would end the work of."""
    return tuple(each.node for each in looked if each.outcome and planning.cuts(action, each.outcome.before))


def install(
    desk: Desk, nodes: Sequence[Node], limits: Limits, wishes: Wishes = _NO_WISHES, *,
    on_ended: Callable[[Ended], None] = _nobody, on_start: Callable[[Callable[[], object]], None] = _nobody,
) -> tuple[Ended, ...]:  # fmt: skip
    """Let ``nodes`` be installed now: off and on again, from the network once; woken where there is no BMC.

    One whose power could not be switched boots as it would have. Raises BadInput, NotFound, Conflict before anything
    is switched.
    """
    if not nodes:
        raise Conflict("there is no node left to install")
    names = [node.name for node in nodes]
    before = boot.remembered(desk, names)
    boot.choose(desk, names, NextBoot(BootAction.INSTALL), wishes=wishes)
    actions = {
        name: PowerAction.ON if access.address.kind is PowerKind.WOL else PowerAction.CYCLE
        for name, access in accesses(desk, nodes).items()
    }
    begun: set[str] = set()
    note = _noting(desk, "install", on_ended)

    def hear(ended: Ended) -> None:
        if ended.outcome:
            begun.add(ended.node)
        note(ended)

    work = Work(orders(desk, nodes, actions, limits, network=True), limits.fanout, limits.stagger)
    try:
        return fan_out(work, hear, on_start)
    finally:  # after Ctrl-C, too
        for name in names:
            if name not in begun:
                boot.restore(desk, name, before[name])
