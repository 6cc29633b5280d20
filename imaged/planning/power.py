"""What is done to switch a node's power, step by step, and what is said of it. Facts in, decisions out. Pure."""

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address

from attrs import define

from imaged.model.errors import BadInput, Conflict
from imaged.model.hardware import Firmware
from imaged.model.net import Mac
from imaged.model.power import WAKE_ON_LAN, PowerAccess, PowerAction, PowerKind, PowerState
from imaged.model.settings import Subnet

_ON, _OFF = PowerState.ON, PowerState.OFF
_CUTS = frozenset({PowerAction.OFF, PowerAction.SOFT, PowerAction.CYCLE, PowerAction.RESET})
_STARTS = frozenset({PowerAction.ON, PowerAction.CYCLE, PowerAction.RESET})
_COPIES = 16  # of the MAC in a magic packet (AMD, "Magic Packet Technology", publication 20213)


class PowerStep(Enum):
    """One thing that a BMC is asked for. ``await_off``: wait until it says off."""

    NETWORK = "network"  # the next boot, and no other, is from the network
    ON = "on"
    OFF = "off"
    SOFT = "soft"
    RESET = "reset"
    AWAIT_OFF = "await off"


def access(own: PowerAccess | None, of_groups: Iterable[PowerAccess], node: str) -> PowerAccess:
    """What switches ``node``: what was said of itself, else of its groups (the last wins), else a magic packet."""
    said = (*of_groups, *((own,) if own else ()))
    return said[-1].of(node) if said else WAKE_ON_LAN


def refuse(kind: PowerKind, action: PowerAction, *, network: bool) -> None:
    """Raises BadInput for what cannot be asked, whatever the node's state is."""
    if network and action not in _STARTS:
        raise BadInput(f"nothing starts by {action.value!r}", where="network")
    if kind is PowerKind.WOL and action not in (PowerAction.ON, PowerAction.STATUS):
        hint = "Where there is one: imaged setpower NODE ipmi://USER@HOST."
        raise BadInput("no BMC is known of it, and a magic packet only switches on", hint=hint)


def steps(action: PowerAction, state: PowerState, *, network: bool) -> tuple[PowerStep, ...]:
    """From ``state`` to what is asked; none where it is so already. Raises Conflict for what ``state`` does not allow.

    A cycle is an off that is waited for and an on: BMCs need not have a command for it (IPMI 2.0, 28.3).
    """
    boot = (PowerStep.NETWORK,) if network else ()
    if action is PowerAction.ON:
        return () if state is _ON else (*boot, PowerStep.ON)
    if action is PowerAction.CYCLE:
        return (*boot, PowerStep.ON) if state is _OFF else (*boot, PowerStep.OFF, PowerStep.AWAIT_OFF, PowerStep.ON)
    if action is PowerAction.RESET:
        if state is _OFF:
            raise Conflict("is off, there is nothing to reset", hint="`cycle` switches on what is off.")
        return (*boot, PowerStep.RESET)
    if action is PowerAction.STATUS or state is _OFF:
        return ()
    return (PowerStep.SOFT if action is PowerAction.SOFT else PowerStep.OFF,)


def told(action: PowerAction, state: PowerState, done: tuple[PowerStep, ...]) -> str:
    """The outcome in a few words: ``state`` was there before ``done``."""
    if action is PowerAction.STATUS:
        return state.value
    if not done:
        return f"was {state.value} already"
    words = {
        PowerStep.ON: "off and on" if PowerStep.OFF in done else "on",
        PowerStep.OFF: "off",
        PowerStep.SOFT: "asked to shut down",
        PowerStep.RESET: "reset",
    }
    return words[done[-1]] + (", boots from the network" if PowerStep.NETWORK in done else "")


def cuts(action: PowerAction, state: PowerState) -> bool:
    """Whether ``action`` ends what a machine in ``state`` is doing."""
    return action in _CUTS and state is not _OFF


def firmware(found: Firmware | None, seen: Iterable[str]) -> Firmware:
    """Of a node: as its agent found it, else as its network boots said (``Machine.arch``), else what is usual."""
    if found:
        return found
    return Firmware.BIOS if "bios" in set(seen) else Firmware.UEFI


def magic_packet(mac: Mac) -> bytes:
    """Wakes the card that has ``mac``."""
    return b"\xff" * 6 + mac.packed * _COPIES


def broadcasts(address: IPv4Address | None, subnets: Iterable[Subnet]) -> tuple[IPv4Address, ...]:
    """Where packets for a node go that is perhaps behind a router: its own subnet, or all where that is not known."""
    known = tuple(subnets)
    own = tuple(each for each in known if address and address in each.network)
    return tuple(each.network.broadcast_address for each in own or known)


@define
class Pace:
    """How many begin when: ``fanout`` at once, each ``stagger`` seconds after the one before."""

    fanout: int
    stagger: float = 0.0
    _next: float = float("-inf")

    def __attrs_post_init__(self) -> None:
        if self.fanout < 1 or self.stagger < 0:
            raise BadInput("a fan-out is at least 1, and a stagger not negative")

    def pause(self, now: float, running: int) -> float | None:
        """Seconds until one more may begin; None: not before one of those that run has ended."""
        return None if running >= self.fanout else max(0.0, self._next - now)

    def began(self, now: float) -> None:
        """One more has."""
        self._next = now + self.stagger
