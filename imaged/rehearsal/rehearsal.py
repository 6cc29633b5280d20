"""A whole rehearsal: a network, a daemon and machines, alive within one ``with`` block and gone after it.

Used by ``imaged rehearse`` and by the end-to-end tests, and by nothing else.
"""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from imaged import process
from imaged.model.boot import RAMDISK_DIR
from imaged.model.errors import BadInput, CommandFailed, Denied, ImagedError, NotFound, Unreachable
from imaged.model.image import Version
from imaged.model.names import ImageRef, node_name
from imaged.model.node import BootAction, Node
from imaged.model.report import Status
from imaged.model.settings import Settings
from imaged.planning.layout import read as read_layout
from imaged.process import Completed
from imaged.qemu.accel import accelerator
from imaged.qemu.options import Accel
from imaged.rehearsal import namespace, phases
from imaged.rehearsal.daemon import Daemon, rehearsal_settings
from imaged.rehearsal.guest import Guest
from imaged.rehearsal.machine import CONSOLES, MEDIA, MachineSpec, identity
from imaged.rehearsal.namespace import PrivateNetwork
from imaged.rehearsal.phases import Facts, Outcome
from imaged.rehearsal.scratch import Scratch
from imaged.store import layouts
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.nodes import Nodes
from imaged.store.paths import State

_POLL = 0.3  # seconds between looks at the database and the consoles
_SHARED = ("boot", "layouts", "autoinstall_scripts", "overrides", "scripts")  # of the real state: read, never written
_PROGRAMS = ("qemu-system-x86_64", "ip", "nsenter", "setpriv")
_DAEMON_STARTS = 60.0
_SSH_STARTS = 120.0


class Rehearsal:
    """Use as ``with Rehearsal(settings) as r:``; everything it made is gone at the end of the block.

    ``settings`` are the site's: images, ramdisk and layouts come from their state directory. ``logs`` takes the
    consoles and the daemon's log, ``ssh_key`` is a private key whose public half is given to the nodes.
    With ``keep``, the scratch directory with disks and database stays.
    """

    def __init__(
        self, settings: Settings, *, logs: Path, ssh_key: Path | None = None, keep: bool = False,
        scratch: Path = Path("/var/tmp"), accel: Accel | None = None,
    ) -> None:  # fmt: skip
        self.logs = logs
        self.site = State(Path(settings.state))
        self.guests: dict[str, Guest] = {}
        self._given = settings
        self._ssh_key, self._keep, self._parent, self._accel = ssh_key, keep, scratch, accel
        self._serving = False
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        _check_host()
        _make_directory(self.logs)
        with ExitStack() as undo:
            scratch = Scratch(self._parent)
            undo.callback(lambda: scratch.release(keep=self._keep))
            self.state = State(scratch.path)
            self.network = PrivateNetwork(scratch.name)
            undo.callback(self.network.remove)
            self.network.create()
            self._share()
            self.engine = open_database(self.state.database)
            undo.callback(self.engine.dispose)
            self.nodes = Nodes(self.engine)
            keys = (_public_key(self._ssh_key),) if self._ssh_key else ()
            self.settings = rehearsal_settings(self._given, scratch.path, authorized_keys=keys)
            self.daemon = Daemon(
                self.settings,
                network=self.network,
                file=scratch.path / "imaged.yaml",
                log=self.logs / "serve.log",
            )
            undo.callback(self.daemon.stop)
            if self._accel is None:
                self._accel = accelerator(self.site.boot)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for guest in self.guests.values():
            guest.power_off()
        self._undo.close()

    @property
    def keeps(self) -> bool:
        """Whether the scratch directory stays."""
        return self._keep

    @property
    def accel(self) -> Accel:
        """What runs the machines."""
        assert self._accel is not None
        return self._accel

    def _share(self) -> None:
        """The site's files and images by links; a version that is made here is ours and goes away with us."""
        site = self.site.root.resolve()
        for name in _SHARED:
            if (site / name).exists():
                (self.state.root / name).symlink_to(site / name)
        self.state.images.mkdir(mode=0o700)
        for name in Images(site / "images").names():
            (self.state.images / name).symlink_to(site / "images" / name)

    def copy_image(self, image: str, name: str) -> Version:
        """A copy of ``image`` called ``name``, which may be edited here: it is gone with the rehearsal."""
        images = Images(self.state.images)
        version = images.resolve(ImageRef.parse(image))
        with images.working(name, copy_of=version) as working:
            copy = images.seal(working, origin=f"copy of {version.ref}", base=version)
        images.publish(copy, ImageRef.parse(name).channel)
        return copy

    def imaged(self, *words: str) -> tuple[str, ...]:
        """``imaged WORDS`` with the settings of this rehearsal, as it runs in its network."""
        program = (sys.executable, "-m", "imaged", "--settings", str(self.daemon.file))
        return self.network.inside((*program, *words))

    def start_daemon(self) -> None:
        """Start the daemon and wait until it serves. Raises CommandFailed with the end of its log."""
        self.daemon.start()
        self._serving = True
        self.until(lambda: self.daemon.serves, _DAEMON_STARTS, "the daemon to open its ports")

    def kill_daemon(self) -> None:
        """SIGKILL; ``start_daemon`` starts it again on the same state."""
        self._serving = False
        self.daemon.kill()

    def machine(self, name: str, spec: MachineSpec, *, image: str, layout: str = "one-disk") -> Guest:
        """A new machine, switched off, defined as a node to install. Raises BadInput, NotFound, Conflict."""
        reference = ImageRef.parse(image)
        self._check_site(reference, layout, spec.arch)
        who = identity(node_name(name), len(spec.nics))
        address = namespace.FIRST_NODE + len(self.guests)
        self.nodes.add(
            Node(
                who.name,
                who.macs,
                reference,
                layout=layout,
                uuid=who.uuid,
                address=address,
                console=CONSOLES[spec.arch],
            )
        )
        return self.stranger(name, spec)

    def stranger(self, name: str, spec: MachineSpec) -> Guest:
        """A new machine, switched off, that nobody has defined; ``name`` is for its logs. Raises BadInput."""
        who = identity(node_name(name), len(spec.nics))
        guest = Guest(
            spec, who, network=self.network, accel=self.accel,
            directory=self.state.root / f"machine-{name}", logs=self.logs,
            medium=self._make_medium(who.name, spec.arch) if spec.way in MEDIA else None,
        )  # fmt: skip
        self.guests[name] = guest
        return guest

    def _make_medium(self, name: str, arch: str) -> Path:
        """A boot medium for one node, made as people make it. Outside our network: packages may have to be fetched."""
        path = self.state.root / f"{name}.iso"
        program = (sys.executable, "-m", "imaged", "--settings", str(self.daemon.file))
        process.run((*program, "mkmedia", "--output", str(path), "--node", name, "--arch", arch), timeout=1800)
        return path

    def reinstall(self, name: str) -> None:
        """The node's next network boot installs it again."""
        self.nodes.set_action([name], BootAction.INSTALL)

    def disk_path(self, name: str, number: int = 0) -> Path:
        """The file that is the machine's disk: raw, sparse."""
        return self.guests[name].disks[number]

    def facts(self, name: str) -> Facts:
        """All that is known of the machine now."""
        guest, now = self.guests[name], time.time()
        guest.console.follow(now)
        node = self.nodes.get(name)
        return Facts(
            node=name,
            powered=guest.powered,
            now=now,
            state=node.state,
            reason=node.reason,
            reports=self.nodes.reports(name),
            kernels=guest.console.kernels,
        )

    def until(
        self, done: Callable[[], object], timeout: float, what: str, *, tail: Callable[[], tuple[str, ...]] = tuple
    ) -> None:
        """The one place that waits, at most ``timeout`` seconds. A daemon that died without being killed ends it."""
        deadline = time.monotonic() + timeout
        while not done():
            if self._serving and not self.daemon.alive:
                raise _with_tail(CommandFailed("imaged serve died", where=str(self.daemon.log)), self.daemon.tail())
            if time.monotonic() > deadline:
                raise _with_tail(Unreachable(f"waited {timeout:.0f} s for {what}"), tail() or self.daemon.tail())
            time.sleep(_POLL)

    def wait(
        self, name: str, phase: str, *, status: Status = Status.STARTED, percent: float = 0, timeout: float = 1800
    ) -> Facts:
        """Until the node is ``percent`` into ``phase`` (``Status.DONE``: through it). Raises what went wrong."""

        def there(facts: Facts) -> bool:
            return phases.reached(facts, phase, status, percent=percent)

        return self._wait(name, there, timeout, f"{name} to reach {phase}", failing=True)

    def wait_ready(self, name: str, *, timeout: float = 2400) -> Facts:
        """Until the installed system has reported that it is up. Raises what went wrong instead."""
        return self._wait(
            name, lambda facts: phases.outcome(facts) is Outcome.READY, timeout, f"{name} to be ready", failing=True
        )

    def wait_failed(self, name: str, *, timeout: float = 1800) -> Facts:
        """Until the node has said that its install failed; ``reason`` of the result says why."""
        return self._wait(
            name, lambda facts: phases.outcome(facts) is Outcome.FAILED, timeout, f"{name} to fail", failing=False
        )

    def wait_console(self, name: str, text: str, *, timeout: float = 300) -> None:
        """Until the last lines of the machine's console have ``text``; the node need not be known. Raises otherwise."""

        def look() -> bool:
            self._refuse_dead(name)
            return any(text in line for line in self.guests[name].console.tail(200))

        self.until(look, timeout, f"{name} to say {text!r}", tail=lambda: self._tail(name))

    def watch(
        self, wanted: Callable[[tuple[Facts, ...]], bool], tick: Callable[[tuple[Facts, ...]], None], *, timeout: float
    ) -> tuple[Facts, ...]:
        """Look at all machines together until ``wanted`` holds, handing each look to ``tick``.

        Raises ImagedError when the daemon or a machine died, a node failed, or ``timeout`` seconds have passed.
        """
        latest: tuple[Facts, ...] = ()

        def look() -> bool:
            nonlocal latest
            latest = tuple(self.facts(name) for name in self.guests)
            tick(latest)
            if wanted(latest):
                return True
            for facts in latest:
                self._refuse_failure(facts)
                self._refuse_dead(facts.node)
            return False

        self.until(look, timeout, "the machines", tail=lambda: self._tails(latest))
        return latest

    def login(self, name: str, line: str) -> tuple[str, ...]:
        """The command that runs ``line`` in the shell of the node, as root, in its own system or in the ramdisk.

        When the node has told the server its host keys, it must answer with one of them, or with the ramdisk's.
        """
        address = self.nodes.get(name).address
        identity = ("-i", str(self._ssh_key)) if self._ssh_key else ()
        known = self.state.root / "known_hosts"
        host_keys, ramdisk = ((self.nodes.fact(name, of) or "").splitlines() for of in ("host_keys", "installer_key"))
        known.write_text("".join(f"{address} {key}\n" for key in (*host_keys, *ramdisk)))
        argv = (
            "ssh", *identity, "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR",
            "-o", f"StrictHostKeyChecking={'yes' if host_keys else 'no'}", "-o", f"UserKnownHostsFile={known}",
            "-o", "GlobalKnownHostsFile=/dev/null", f"root@{address}", line,
        )  # fmt: skip
        return self.network.inside(argv)

    def ssh(self, name: str, *command: str, timeout: float = 120, check: bool = True) -> Completed:
        """Run a command on the installed node as root. Raises CommandFailed while nobody answers."""
        return process.run(self.login(name, shlex.join(command)), timeout=timeout, check=check)

    def boot_id(self, name: str) -> str:
        """Which start of the installed node's system this is: another one after each reboot (random(4))."""
        return self.ssh(name, "cat", "/proc/sys/kernel/random/boot_id").output.strip()

    def wait_restart(self, name: str, before: str, *, timeout: float = 900) -> None:
        """Until the node has started anew since its boot id was ``before``, and all that starts with it has."""

        def again() -> bool:
            self._refuse_dead(name)
            try:
                return self.boot_id(name) != before
            except CommandFailed:
                return False

        self.until(again, timeout, f"{name} to start again", tail=lambda: self._tail(name))
        self.ssh(name, "systemctl", "is-system-running", "--wait", timeout=timeout, check=False)

    def ssh_host_name(self, name: str, *, timeout: float = _SSH_STARTS) -> str:
        """What the node calls itself when asked by ssh; waits until its sshd answers."""
        answers: list[str] = []
        faults: list[str] = []

        def asks() -> bool:
            self._refuse_dead(name)
            try:
                answers.append(self.ssh(name, "hostname").output.strip())
            except CommandFailed as error:
                faults.append(error.hint or error.what)
                return False
            return True

        self.until(asks, timeout, f"ssh of {name}", tail=lambda: tuple(faults[-1:]))
        return answers[-1]

    def _wait(self, name: str, wanted: Callable[[Facts], bool], timeout: float, what: str, *, failing: bool) -> Facts:
        latest: list[Facts] = []

        def look() -> bool:
            latest[:] = [self.facts(name)]
            if wanted(latest[0]):
                return True
            if failing:
                self._refuse_failure(latest[0])
            self._refuse_dead(name)
            return False

        self.until(look, timeout, what, tail=lambda: self._tail(name))
        return latest[0]

    def _refuse_failure(self, facts: Facts) -> None:
        if phases.outcome(facts) is Outcome.FAILED:
            raise _with_tail(
                ImagedError(facts.reason or "the install failed", where=facts.node), self._tail(facts.node)
            )

    def _refuse_dead(self, name: str) -> None:
        guest = self.guests[name]
        if guest.powered and not guest.alive:
            said = guest.output.read_text(errors="replace").splitlines()[-10:]
            raise _with_tail(CommandFailed("QEMU ended", where=name), (*said, *self._tail(name)))
        if guest.powered and (reason := guest.console.stopped(time.time())):
            raise _with_tail(CommandFailed(reason, where=name), self._tail(name))

    def _tail(self, name: str) -> tuple[str, ...]:
        return (f"{self.guests[name].console.path}:", *self.guests[name].console.tail())

    def _tails(self, latest: tuple[Facts, ...]) -> tuple[str, ...]:
        waiting = (facts.node for facts in latest if phases.outcome(facts) is not Outcome.READY)
        return tuple(line for name in waiting for line in self._tail(name))

    def _check_site(self, image: ImageRef, layout: str, arch: str) -> None:
        Images(self.state.images).resolve(image)
        read_layout(layouts.find(self.site.layouts, layout), layout)
        ramdisk = self.site.boot / RAMDISK_DIR / arch
        for path in (ramdisk / "vmlinuz", ramdisk / "initrd.img"):
            if not path.exists():
                raise NotFound("no boot ramdisk", where=str(path), hint=f"`imaged mkramdisk --arch {arch}` makes one.")


def _with_tail(error: ImagedError, lines: tuple[str, ...]) -> ImagedError:
    error.hint = "\n  ".join(filter(None, (error.hint, *lines)))
    return error


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"no directory for logs: {error.strerror}", where=str(path)) from None


def _check_host() -> None:
    if os.geteuid() != 0:
        raise Denied("a rehearsal makes a network of its own, which needs root", hint="Run it with sudo.")
    for program in _PROGRAMS:
        if not shutil.which(program):
            hint = f"Install the package that has {program} (qemu-system-x86, iproute2, util-linux)."
            raise NotFound(f"{program} is not installed", hint=hint)


def _public_key(private: Path) -> str:
    if not private.is_file():
        raise NotFound("no such key", where=str(private), hint="Name the private key; ssh-keygen makes one.")
    return process.run(("ssh-keygen", "-y", "-P", "", "-f", str(private))).output.strip()
