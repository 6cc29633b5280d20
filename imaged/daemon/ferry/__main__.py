"""The process: a loop of epoll(7) around a Carrier. Its standard input is its channel to the daemon."""

import select
import signal
import socket
import time

from imaged.daemon.ferry.carrier import TURN, Carrier
from imaged.daemon.ferry.messages import LONGEST

_BATCH = 256  # events of one turn


def main() -> None:
    """Until the daemon's end of the channel closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to deal with; then it closes the channel
    channel = socket.socket(fileno=0)
    poll = select.epoll()
    poll.register(0, select.EPOLLIN)
    # That blocks while the daemon is slow to listen, which is when it has no time for more transfers either.
    carrier = Carrier(channel.sendall, lambda each: poll.register(each, select.EPOLLIN | select.EPOLLET))
    clock, wait, readers = time.monotonic, poll.poll, carrier.readers
    next_look, patience = 0.0, None
    while True:
        events = wait(patience, _BATCH)
        now = clock()
        for descriptor, _ in events:
            if read := readers.get(descriptor):
                read(now)
            elif descriptor == 0:
                if not _heard(channel, carrier, now):
                    return
                patience = TURN
        if now >= next_look:
            carrier.tick(now)
            next_look = now + TURN
            patience = TURN if carrier else None


def _heard(channel: socket.socket, carrier: Carrier, now: float) -> bool:
    """Take one message; False when there is nobody to send another."""
    try:
        message, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 1)
    except ConnectionError:
        return False
    if message:
        carrier.obey(message, descriptors, now)
    return bool(message)


if __name__ == "__main__":
    main()
