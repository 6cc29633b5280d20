"""What a BMC is to us, and where an order is carried out on one, by the steps of ``planning.power``. It blocks."""

import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address
from typing import Final, Protocol

from attrs import frozen

from imaged.model.errors import ImagedError, Unreachable
from imaged.model.hardware import Firmware
from imaged.model.net import Mac
from imaged.model.power import PowerAccess, PowerAction, PowerKind, PowerState
from imaged.planning.power import PowerStep, refuse, steps, told
from imaged.power.wake import wake

_BETWEEN: Final = 1.0  # seconds from one question for the state to the next


@frozen
class Order:
    """What shall be done for one node, within ``seconds``. ``network``: what starts it starts it from the network,
    once. ``macs``, ``interfaces`` and ``broadcasts`` are for a magic packet."""

    node: str
    access: PowerAccess
    action: PowerAction
    seconds: float
    network: bool = False
    firmware: Firmware = Firmware.UEFI
    macs: tuple[Mac, ...] = ()
    interfaces: tuple[str, ...] = ()
    broadcasts: tuple[IPv4Address, ...] = ()


@frozen
class Outcome:
    """What was done, in words, and the power's state before it."""

    text: str
    before: PowerState


@frozen
class Deadline:
    """When a BMC has taken too long. ``pause`` waits, so that a test need not."""

    at: float
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """So many from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds; 0 when it is over."""
        return max(0.0, self.at - self.clock())


class Bmc(Protocol):
    """A session with one BMC. Everything raises ImagedError: Denied, Unreachable, or what the BMC said."""

    def state(self) -> PowerState:
        """Asked anew each time."""

    def do(self, step: PowerStep) -> None:
        """Any step but ``await_off``."""

    def close(self) -> None:
        """Give the session back: a BMC has few. Never raises."""


def carry_out(order: Order) -> Outcome:
    """Raises ImagedError."""
    kind = order.access.address.kind
    refuse(kind, order.action, network=order.network)
    if kind is PowerKind.WOL:
        if order.action is PowerAction.STATUS:
            return Outcome("not known, there is no BMC", PowerState.UNKNOWN)
        wake(order.macs, order.interfaces, order.broadcasts)
        return Outcome("a magic packet was sent", PowerState.UNKNOWN)
    deadline = Deadline.after(order.seconds)
    with closing(_connect(order, deadline)) as bmc:
        return switch(bmc, order.action, deadline, network=order.network)


def _connect(order: Order, deadline: Deadline) -> Bmc:
    """Log in. The libraries take a while to load: each is where it is needed only."""
    if order.access.address.kind is PowerKind.IPMI:
        from imaged.power.ipmi import IpmiBmc

        return IpmiBmc(order.access, order.firmware, deadline)
    from imaged.power.redfish import RedfishBmc

    return RedfishBmc(order.access, order.firmware, deadline)


def switch(bmc: Bmc, action: PowerAction, deadline: Deadline, *, network: bool) -> Outcome:
    """Raises as the BMC does; the hint says when that leaves the machine switched off."""
    state = bmc.state()
    wanted = steps(action, state, network=network)
    is_off = False
    for step in wanted:
        try:
            if step is PowerStep.AWAIT_OFF:
                _await_off(bmc, deadline)
            else:
                bmc.do(step)
        except ImagedError as error:
            if is_off:
                hint = "It was told to switch off, and not to switch on again."
                raise type(error)(error.what, where=error.where, hint=hint) from None
            raise
        is_off = is_off or step is PowerStep.OFF
    return Outcome(told(action, state, wanted), state)


def _await_off(bmc: Bmc, deadline: Deadline) -> None:
    while bmc.state() is not PowerState.OFF:
        if not deadline.left:
            raise Unreachable("it does not switch off in time")
        deadline.pause(_BETWEEN)
