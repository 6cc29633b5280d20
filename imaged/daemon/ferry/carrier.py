"""All transfers of one ferry, whatever waits for them: no clock, no loop, no channel of its own."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from imaged.daemon.ferry import messages
from imaged.daemon.ferry.messages import End, Order
from imaged.daemon.ferry.session import Connect, Session, connect
from imaged.model.codec import from_json, to_json

TURN: Final = 1 / 16  # seconds between two looks for whose time has come: one timer for all
_COUNTED: Final = 1.0  # seconds after which the count of bytes is told


class Carrier:
    """``tell`` takes a message to the daemon; ``watch`` a socket that has one of ``readers``.

    A descriptor may be closed, or another's, by the time that its turn comes: readers take nothing for granted.
    """

    def __init__(
        self, tell: Callable[[bytes], None], watch: Callable[[Any], None], connect: Connect = connect, cut: bool = True
    ) -> None:
        self._tell = tell
        self._watch = watch
        self._connect = connect
        self._cut = cut
        self.readers: dict[int, Callable[[float], None]] = {}  # by descriptor: what to call, with the time
        self._sessions: dict[int, Session] = {}
        self._sent = 0  # by transfers that have ended
        self._told = (0.0, 0)

    def __bool__(self) -> bool:
        """Whether there is any transfer."""
        return bool(self._sessions)

    def obey(self, message: bytes, descriptors: Sequence[int], now: float) -> None:
        """What the daemon says."""
        kind, matter = message[:1], message[1:]
        if kind == messages.BEGIN:
            (descriptor,) = descriptors
            self.begin(from_json(matter.decode(), Order), descriptor, now)
        elif session := self._sessions.get(int(matter)):
            if kind == messages.AGAIN:
                session.again(now)
            else:
                session.end("its place was needed")

    def begin(self, order: Order, descriptor: int, now: float) -> None:
        """Carry one more; the file is ours now."""
        try:
            line, strangers = self._connect(order.local, (order.host, order.port))
        except OSError as error:
            os.close(descriptor)
            self._tell(
                _message(messages.ENDED, End(order.number, f"no socket: {error.strerror}", False, self._count()))
            )
            return
        session = Session(order, descriptor, line, strangers, self._settle, self._cut)
        self._sessions[order.number] = session
        self.readers[line.fileno()] = session.readable
        self.readers[strangers.fileno()] = session.stranger
        self._watch(line)
        self._watch(strangers)
        session.begin(now)

    def tick(self, now: float) -> None:
        """Once in a TURN."""
        for session in [each for each in self._sessions.values() if each.wake <= now]:
            session.tick(now)
        at, told = self._told
        if now - at >= _COUNTED and (sent := self._count()) != told:
            self._told = now, sent
            self._tell(b"%b%d" % (messages.SENT, sent))

    def _count(self) -> int:
        return self._sent + sum(each.sent for each in self._sessions.values())

    def _settle(self, session: Session) -> None:
        """Its client has answered for the first time, or it has ended."""
        if not session.ending:
            self._tell(b"%b%d" % (messages.CONFIRMED, session.number))
            return
        del self._sessions[session.number]
        del self.readers[session.line.fileno()]
        del self.readers[session.strangers.fileno()]
        session.close()
        self._sent += session.sent
        self._tell(_message(messages.ENDED, End(session.number, session.ending, session.confirmed, self._count())))


def _message(kind: bytes, matter: End) -> bytes:
    return kind + to_json(matter).encode()
