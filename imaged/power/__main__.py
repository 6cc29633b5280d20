"""The process that speaks to BMCs: Work on stdin, a line of JSON on stdout for each node that is through.

Each BMC has a child of its own, forked when the libraries are loaded: what hangs is killed, what one BMC says cannot
disturb the session with another, and a daemon that asks for all this loads none of it.
"""

import importlib
import os
import random
import selectors
import signal
import sys
import time
from math import inf
from typing import Final

from attrs import define

from imaged.model.codec import from_json, to_json
from imaged.model.errors import ImagedError, Unreachable
from imaged.planning.power import Pace
from imaged.power.bmc import Order, carry_out
from imaged.power.fanout import Ended, Fault, Work, needed

_GRACE: Final = 8.0  # seconds beyond an order's own, in which its child may give up by itself and say why
_CHUNK: Final = 65536


@define
class _Child:
    """A process that carries out an order; ``said`` is what it wrote into its pipe so far. ``until`` inf: killed."""

    order: Order
    pid: int
    pipe: int
    until: float
    said: bytes = b""


class Crew:
    """The children of one Work."""

    def __init__(self, work: Work) -> None:
        self._waiting = list(work.orders)
        self._pace = Pace(work.fanout, work.stagger)
        self._children: dict[int, _Child] = {}
        self._pipes = selectors.DefaultSelector()

    def begin_no_more(self) -> None:
        """Those that have begun end."""
        self._waiting.clear()

    def run(self) -> None:
        """Until all have ended."""
        while self._waiting or self._children:
            now = time.monotonic()
            pause = self._pace.pause(now, len(self._children)) if self._waiting else None
            if pause == 0.0:
                self._begin(self._waiting.pop(0), now)
                continue
            for child in [each for each in self._children.values() if each.until <= now]:
                os.kill(child.pid, signal.SIGKILL)  # its pipe ends with it
                child.until = inf
            waits = [each.until - now for each in self._children.values()] + ([] if pause is None else [pause])
            timeout = min(waits, default=0.0)
            for key, _ in self._pipes.select(None if timeout == inf else timeout):
                self._read(self._children[key.fd])

    def _begin(self, order: Order, now: float) -> None:
        pipe, end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_child(order, end)
        os.close(end)
        self._pace.began(now)
        self._children[pipe] = _Child(order, pid, pipe, now + order.seconds + _GRACE)
        self._pipes.register(pipe, selectors.EVENT_READ)

    def _read(self, child: _Child) -> None:
        chunk = os.read(child.pipe, _CHUNK)
        child.said += chunk
        if chunk:
            return
        self._pipes.unregister(child.pipe)
        os.close(child.pipe)
        del self._children[child.pipe]
        os.waitpid(child.pid, 0)
        sys.stdout.write(f"{child.said.decode() or to_json(_unheard(child))}\n")
        sys.stdout.flush()


def _unheard(child: _Child) -> Ended:
    where = str(child.order.access.address)
    if child.until == inf:
        fault: ImagedError = Unreachable(f"took longer than {child.order.seconds:.0f} s", where=where)
    else:
        fault = ImagedError("the session with it broke off", where=where)
    return Ended(child.order.node, None, Fault.of(fault))


def _be_child(order: Order, end: int) -> None:
    """Never returns. What the libraries print is for nobody."""
    try:
        random.seed()  # else all would retry in the same moments
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.write(end, to_json(answer(order)).encode())
    finally:
        os._exit(0)


def answer(order: Order) -> Ended:
    """How one order ended; never raises."""
    try:
        return Ended(order.node, carry_out(order))
    except ImagedError as error:
        fault = error
    except Exception as error:  # of a library, fed by whatever is at that address
        what = f"what it says is not understood ({type(error).__name__}: {error})"
        fault = ImagedError(what, where=str(order.access.address))
    return Ended(order.node, None, Fault.of(fault))


def main() -> None:
    """SIGINT comes to the whole terminal and is our parent's to judge, which tells us by SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work = from_json(sys.stdin.read(), Work)
    for name in needed(work.orders):
        importlib.import_module(name)
    crew = Crew(work)
    signal.signal(signal.SIGTERM, lambda *_: crew.begin_no_more())
    crew.run()


if __name__ == "__main__":
    main()
