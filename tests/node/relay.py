"""A stretch of network between a node and a server, which a test may cut after so many bytes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes connections on to ``port`` of loopback. ``passed`` counts the bytes that came from there.

    When ``cut_at`` of them have passed, ``on_cut`` is called and, unless it gives True, the connection is closed.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.passed = 0
        self.cut_at: int | None = None
        self.on_cut: Callable[[], bool] = lambda: False

    def serve(self, listening: socket.socket) -> None:
        """Until the socket is closed."""
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with near, suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)) as far:
            up = threading.Thread(target=_pump, args=(near, far), daemon=True)
            up.start()
            with suppress(OSError):
                while self._pass_on(far, near):
                    pass
            for each in (near, far):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            up.join()

    def _pass_on(self, far: socket.socket, near: socket.socket) -> bool:
        left = None if self.cut_at is None else self.cut_at - self.passed
        data = far.recv(65536 if left is None else max(min(left, 65536), 1))
        if left is not None and left <= 0:
            self.cut_at = None
            if not self.on_cut():
                return False
        near.sendall(data)
        self.passed += len(data)
        return bool(data)


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def relaying(port: int) -> Iterator[tuple[Relay, int]]:
    """The relay, and the port that a node is told."""
    relay = Relay(port)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=relay.serve, args=(listening,), daemon=True)
        thread.start()
        yield relay, listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
