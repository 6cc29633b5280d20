"""The daemon's end: starts the processes, hands them transfers, hears how those end. A ferry that dies is replaced."""

import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from attrs import define, field
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from imaged.daemon.ferry import messages
from imaged.daemon.ferry.messages import LONGEST, End, Order
from imaged.model.codec import from_json, to_json

_PAUSE: Final = 1.0  # seconds before a ferry that died is replaced
_BATCH: Final = 64  # messages per turn of the reactor

Confirmed = Callable[[int], None]
Ended = Callable[[int, str, bool], None]


@define(eq=False)
@implementer(IReadDescriptor)
class Ferry(ProcessProtocol):
    """One process. ``carried`` are the numbers of its transfers, ``sent`` the bytes that it told of so far."""

    channel: socket.socket
    heard: Callable[["Ferry", bytes], None]
    died: Callable[["Ferry", str], None]
    carried: set[int] = field(factory=set)
    sent: int = 0

    def tell(self, message: bytes, descriptor: int | None = None) -> bool:
        """False if it is too busy to listen, or has just died."""
        try:
            socket.send_fds(self.channel, [message], [] if descriptor is None else [descriptor])
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """For the reactor."""
        return self.channel.fileno()

    def doRead(self) -> None:
        """Called by the reactor when there is something to read."""
        for _ in range(_BATCH):
            try:
                message = self.channel.recv(LONGEST)
            except OSError:  # nothing more, or it died: processEnded will say so
                return
            if not message:
                return
            self.heard(self, message)

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor when it drops us, at its own end."""
        self.channel.close()

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "ferry"

    def processEnded(self, reason: Failure) -> None:
        """Called by the reactor when the process has been reaped."""
        self.died(self, reason.getErrorMessage())


class Fleet:
    """``count`` ferries. ``confirmed`` and ``ended`` are told the numbers that ``begin`` was given."""

    _log = Logger()

    def __init__(self, count: int, reactor: Any, confirmed: Confirmed, ended: Ended) -> None:
        self._count = count
        self._reactor = reactor
        self._confirmed = confirmed
        self._ended = ended
        self._ferries: list[Ferry] = []
        self._of: dict[int, Ferry] = {}
        self._sent = 0  # by ferries that are gone
        self._running = False

    @property
    def sent(self) -> int:
        """Bytes of files since the start."""
        return self._sent + sum(each.sent for each in self._ferries)

    @property
    def ferries(self) -> int:
        """Processes that are there."""
        return len(self._ferries)

    def start(self) -> None:
        """Start the processes."""
        self._running = True
        for _ in range(self._count):
            self._launch()

    def stop(self) -> None:
        """Let them end: they do when their channel closes."""
        self._running = False
        for each in tuple(self._ferries):
            self._retire(each)

    def begin(self, order: Order, descriptor: int) -> bool:
        """Hand over a transfer and its open file, which stays the caller's to close. False if nobody can take it."""
        if not self._ferries:
            return False
        ferry = min(self._ferries, key=lambda each: len(each.carried))
        ferry.carried.add(order.number)
        self._of[order.number] = ferry
        if ferry.tell(messages.BEGIN + to_json(order).encode(), descriptor):
            return True
        ferry.carried.discard(order.number)
        del self._of[order.number]
        return False

    def again(self, number: int) -> None:
        """Its client asked again."""
        if ferry := self._of.get(number):
            ferry.tell(b"%b%d" % (messages.AGAIN, number))

    def drop(self, number: int) -> None:
        """Its place is needed; ``ended`` will be told."""
        if ferry := self._of.get(number):
            ferry.tell(b"%b%d" % (messages.DROP, number))

    def _launch(self) -> None:
        if not self._running:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        ferry = Ferry(ours, self._heard, self._died)
        # -P: what lies in the directory that the daemon was started from is not our program.
        argv = (sys.executable, "-P", "-m", "imaged.daemon.ferry")
        try:
            self._reactor.spawnProcess(ferry, argv[0], argv, env=None, childFDs={0: theirs.fileno(), 1: 2, 2: 2})
        except OSError as error:  # fork(2) failed
            self._log.error("tftp: no process to carry transfers: {error}", error=error)
            ours.close()
            self._reactor.callLater(_PAUSE, self._launch)
            return
        finally:
            theirs.close()
        self._ferries.append(ferry)
        self._reactor.addReader(ferry)

    def _heard(self, ferry: Ferry, message: bytes) -> None:
        kind, matter = message[:1], message[1:]
        if kind == messages.CONFIRMED:
            self._confirmed(int(matter))
        elif kind == messages.SENT:
            ferry.sent = int(matter)
        elif kind == messages.ENDED:
            end = from_json(matter.decode(), End)
            ferry.sent = end.sent
            self._end(ferry, end)

    def _end(self, ferry: Ferry, end: End) -> None:
        ferry.carried.discard(end.number)
        del self._of[end.number]
        self._ended(end.number, end.why, end.confirmed)

    def _died(self, ferry: Ferry, why: str) -> None:
        if ferry not in self._ferries:  # it was told to
            return
        ferry.doRead()
        self._log.error("tftp: a process that carries transfers is gone: {why}", why=why)
        self._retire(ferry)
        self._reactor.callLater(_PAUSE, self._launch)

    def _retire(self, ferry: Ferry) -> None:
        self._reactor.removeReader(ferry)
        self._ferries.remove(ferry)
        self._sent += ferry.sent
        ferry.channel.close()
        why = "its process died" if self._running else "the server stops"
        for number in tuple(ferry.carried):
            self._end(ferry, End(number, why, False, 0))
