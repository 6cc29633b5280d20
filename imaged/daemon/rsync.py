"""rsync service: knows the node by its CONNECT, lets it wait for a slot, hands the socket to a real rsync daemon.

Not one byte of a tree passes through this process: the child has the TCP socket itself as standard input and output.
"""

import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError, ProcessExitedAlready
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from imaged.daemon.turnstile import Ticket, Turnstile
from imaged.model.errors import Conflict, ImagedError
from imaged.model.settings import Settings
from imaged.model.transfer import Grant
from imaged.planning import rsyncd
from imaged.process import run
from imaged.wire import proxy_connect
from imaged.wire.proxy_connect import Connect, answer

FindGrant = Callable[[str, str], Grant | None]

_HEAD_DEADLINE: Final = 10.0  # seconds for the CONNECT to come, and for a refused client to hang up
_KILL_AFTER: Final = 5.0  # seconds between SIGTERM and SIGKILL
_MOST_VISITORS: Final = 4096  # connections without a child: each costs a descriptor
_KEEPALIVE: Final = (  # a node that lost its power leaves the queue after a minute (tcp(7))
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_CONFIGS: Final = "rsyncd-*.conf"
_BYTES_ACKED: Final = 120  # where tcpi_bytes_acked is in struct tcp_info of <linux/tcp.h>, since Linux 4.1


class Visitor(Protocol):
    """One connection from its accept until it is refused or handed over. ``connect`` is set once it has been read."""

    transport: Any

    def __init__(self, service: "RsyncService", reactor: Any) -> None:
        self.connect: Connect | None = None
        self.ticket: Ticket | None = None
        self.granted: Grant | None = None  # what it may read, in the moment in which that was looked up
        self._service = service
        self._reactor = reactor
        self._received = b""
        self._refused = False
        self._deadline: Any = None

    def connectionMade(self) -> None:
        """Called by Twisted."""
        for setting in _KEEPALIVE:
            self.transport.getHandle().setsockopt(*setting)
        self._hurry()
        self._service.arrived(self)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted."""
        if self._refused:
            return
        self._received += data
        asked = proxy_connect.read(self._received)
        if isinstance(asked, bytes):
            self.refuse(asked)
        elif asked:
            self.connect = asked
            self._relax()
            self._service.asked(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted: the client hung up, or we did."""
        self._relax()
        self._service.departed(self)

    def refuse(self, said: bytes) -> None:
        """Say ``said`` and wait for the client to hang up: a close with its words unread would reset ours away."""
        if self._refused:
            return
        self._refused = True
        self._service.gave_up(self)
        self._hurry()
        self.transport.write(said)
        self.transport.loseWriteConnection()

    def detach(self) -> int:
        """Take the connection away from the reactor: its descriptor, blocking as rsync expects it.

        All of Twisted's ways to end a connection shut it down or reset it, which the child would feel.
        """
        self._relax()
        self.transport.stopReading()
        self.transport.stopWriting()
        descriptor: int = self.transport.getHandle().detach()
        os.set_blocking(descriptor, True)
        self._service.departed(self)
        return descriptor

    def _hurry(self) -> None:
        self._relax()
        self._deadline = self._reactor.callLater(_HEAD_DEADLINE, self.transport.abortConnection)

    def _relax(self) -> None:
        if self._deadline and self._deadline.active():
            self._deadline.cancel()


class Child(ProcessProtocol):
    """One rsync daemon that serves one connection."""

    transport: Any

    def __init__(self, ticket: Ticket, config: Path, descriptor: int, ended: Callable[["Child", int], None]) -> None:
        self.ticket = ticket
        self.config = config
        self.descriptor = descriptor  # the connection, kept to ask the kernel how much went over it
        self.gone: Deferred[None] = Deferred()
        self._ended = ended

    def processEnded(self, reason: Failure) -> None:
        """Called by Twisted when the child has been reaped."""
        value: Any = reason.value
        try:
            self._ended(self, -value.signal if value.signal else value.exitCode)
        finally:  # or a listener that breaks would keep the service from stopping
            self.gone.callback(None)

    @property
    def sent(self) -> int:
        """Bytes that the client has acknowledged; 0 after ``close``."""
        if self.descriptor < 0:
            return 0
        with socket.socket(fileno=os.dup(self.descriptor)) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
        return int.from_bytes(info[_BYTES_ACKED:], sys.byteorder)

    def close(self) -> None:
        """Give the connection back. A second call does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def kill(self, number: int) -> None:
        """Send a signal; nothing if it has ended."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(number)


class RsyncService:
    """Serves trees by rsync to nodes that prove themselves.

    ``grant(node, secret)`` says what a node may read now, or None; it is asked when the node comes, and again when
    its slot is free if it had to wait. ``run_dir`` takes one configuration per connection, ``log_dir`` rsyncd.log.
    ``on_queue(node, position)`` tells who waits (from 1; 0: it begins), ``on_end(node, code)`` how rsync ended (-N:
    signal N).
    ``reactor`` is an IReactorTCP, IReactorTime and IReactorProcess.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        log_dir: Path,
        reactor: Any,
        grant: FindGrant,
        on_queue: Callable[[str, int], None] | None = None,
        on_end: Callable[[str, int], None] | None = None,
    ) -> None:
        self._rsync = settings.rsync
        self._run_dir = run_dir.absolute()
        self._log_file = log_dir.absolute() / "rsyncd.log"
        self._reactor = reactor
        self._grant = grant
        self._on_queue = on_queue or (lambda node, position: None)
        self._on_end = on_end or (lambda node, code: None)
        self._numbers = count(1)
        self._turnstile = Turnstile(settings.rsync.transfers)
        self._visitors: set[Visitor] = set()
        self._children: set[Child] = set()
        self._sent = 0  # by transfers that have ended
        self.ended: Counter[str] = Counter(done=0, failed=0)
        self._listening: Any = None

    @property
    def port(self) -> int:
        """The TCP port that is bound; 0 before the start."""
        return self._listening.getHost().port if self._listening else 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """The nodes that wait for a slot, first come first."""
        return self._turnstile.waiting

    @property
    def transferring(self) -> tuple[str, ...]:
        """The nodes that have a slot."""
        return self._turnstile.inside

    @property
    def sent(self) -> int:
        """Bytes since the start."""
        return self._sent + sum(child.sent for child in self._children)

    def start(self) -> None:
        """Listen. Raises ImagedError when rsync is missing or too old, or the port cannot be had."""
        self._check_version()
        for directory in (self._run_dir, self._log_file.parent):
            directory.mkdir(parents=True, exist_ok=True)
        for leftover in self._run_dir.glob(_CONFIGS):  # of a daemon that was killed; its children have read theirs
            leftover.unlink(missing_ok=True)
        try:
            factory = Factory.forProtocol(partial(Visitor, self, self._reactor))
            self._listening = self._reactor.listenTCP(self._rsync.port, factory)
        except CannotListenError as error:
            raise Conflict(f"cannot listen: {error.socketError}", where=f"rsync.port {self._rsync.port}") from None

    def stop(self) -> "Deferred[None]":
        """Stop listening, turn everybody away and end every transfer; fires when the last child is gone."""
        stopped = [self._listening.stopListening()] if self._listening else []
        self._listening = None
        for visitor in tuple(self._visitors):
            visitor.refuse(answer(503, "the server stops; try again"))
        ended = DeferredList([*(deferred for deferred in stopped if deferred), *map(self._end, tuple(self._children))])
        return ended.addCallback(lambda _: None)

    def drop(self, node: str) -> None:
        """End the transfers of ``node`` and its waiting: it has been installed anew, or removed."""
        for visitor in tuple(self._visitors):
            if visitor.ticket and visitor.ticket.node == node:
                visitor.refuse(answer(403, "the node has begun anew"))
        for child in tuple(self._children):
            if child.ticket.node == node:
                self._end(child)

    def arrived(self, visitor: Visitor) -> None:
        """A connection was accepted."""
        self._visitors.add(visitor)
        if len(self._visitors) > _MOST_VISITORS:
            visitor.refuse(answer(503, "too many connections; try again"))

    def asked(self, visitor: Visitor) -> None:
        """A visitor has said who it is: it may queue up if it is."""
        grant = self._granted(visitor)
        if grant:
            visitor.ticket, visitor.granted = Ticket(grant.node, partial(self._admitted, visitor)), grant
            position = self._turnstile.enter(visitor.ticket)
            visitor.granted = None
            if position:
                self._log.info("rsync {node}: waits, position {position}", node=grant.node, position=position)
                self._on_queue(grant.node, position)

    def gave_up(self, visitor: Visitor) -> None:
        """A visitor will not get a slot any more."""
        if visitor.ticket:
            self._turnstile.leave(visitor.ticket)
            visitor.ticket = None

    def departed(self, visitor: Visitor) -> None:
        """A visitor's connection is no longer ours."""
        self.gave_up(visitor)
        self._visitors.discard(visitor)

    def _granted(self, visitor: Visitor) -> Grant | None:
        """What the visitor may read now; it is refused if that is nothing."""
        connect = visitor.connect
        assert connect is not None
        try:
            grant = self._grant(connect.user, connect.password)
        except Exception:  # the edge of one request
            self._log.failure("rsync {user!r}: the grant could not be looked up", user=connect.user[:80])
            visitor.refuse(answer(503, "internal error, see the server's log"))
            return None
        if grant is None or not grant.modules:
            peer = visitor.transport.getPeer()
            self._log.warn("rsync {user!r} from {host}: refused", user=connect.user[:80], host=peer.host)
            visitor.refuse(answer(403, "no such node, wrong secret, or nothing to fetch for it now"))
            return None
        return grant

    def _admitted(self, visitor: Visitor) -> None:
        """A slot is free. The grant is looked up again after a wait, which may have been long."""
        grant, ticket = visitor.granted or self._granted(visitor), visitor.ticket
        if grant is None or ticket is None:
            return
        try:
            config = self._write_config(grant)
        except (ImagedError, OSError) as error:
            self._log.error("rsync {node}: {error}", node=grant.node, error=error)
            visitor.refuse(answer(503, "the server cannot serve it, see its log"))
            return
        visitor.ticket = None  # the slot is the child's now
        descriptor = visitor.detach()
        child = Child(ticket, config, descriptor, self._ended)
        self._children.add(child)  # before it begins: it may have ended when spawnProcess returns
        try:
            self._spawn(child, descriptor)
        except OSError as error:  # the client has gone, or fork(2) failed
            self._log.warn("rsync {node}: {error}", node=grant.node, error=error)
            self._children.discard(child)
            config.unlink(missing_ok=True)
            child.close()
            self._turnstile.leave(ticket)

    def _spawn(self, child: Child, descriptor: int) -> None:
        log = os.open(self._log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.write(descriptor, answer(200, "go on"))
            argv = rsyncd.argv(self._rsync.program, child.config)
            environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
            fds = {0: descriptor, 1: descriptor, 2: log}
            # Without a directory of its own, so that Twisted takes posix_spawn(3): to fork a process of our size, and
            # let Python close its descriptors in the child, takes longer than all else that is done for a transfer.
            process = self._reactor.spawnProcess(child, argv[0], argv, env=environment, childFDs=fds)
        finally:
            os.close(log)
        self._log.info("rsync {node}: begins, pid {pid}", node=child.ticket.node, pid=process.pid)
        self._on_queue(child.ticket.node, 0)

    def _ended(self, child: Child, code: int) -> None:
        self._children.discard(child)
        self._sent += child.sent
        self.ended["failed" if code else "done"] += 1
        child.close()
        child.config.unlink(missing_ok=True)
        self._log.info("rsync {node}: ended with {code}", node=child.ticket.node, code=code)
        self._turnstile.leave(child.ticket)
        self._on_end(child.ticket.node, code)

    def _end(self, child: Child) -> "Deferred[None]":
        child.kill(signal.SIGTERM)
        later = self._reactor.callLater(_KILL_AFTER, child.kill, signal.SIGKILL)
        return child.gone.addCallback(lambda _: later.cancel() if later.active() else None)

    def _write_config(self, grant: Grant) -> Path:
        text = rsyncd.configuration(
            grant.modules, timeout=self._rsync.timeout, as_root=os.geteuid() == 0, log=self._log_file
        )
        path = self._run_dir / _CONFIGS.replace("*", str(next(self._numbers)))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
        return path

    def _check_version(self) -> None:
        version, fitness = rsyncd.fitness(run((self._rsync.program, "--version")).output)
        if fitness is rsyncd.Fitness.UNFIT:
            raise Conflict(
                f"rsync {version} cannot serve nodes", where=self._rsync.program, hint="Install rsync 3.5.0 or later."
            )
        if fitness is rsyncd.Fitness.OLD:
            self._log.warn(
                "rsync {version} IS NOT SAFE for nodes that you do not trust, unless your distribution has fixed it: "
                "releases before 3.5.0 can be made to leave their module and to run the client's code",
                version=version,
            )
