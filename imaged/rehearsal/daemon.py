"""A daemon of the rehearsal's own: `imaged serve` in its network, on its state directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath

from attrs import evolve

import imaged
from imaged import process
from imaged.model.codec import to_json
from imaged.model.net import AddressRange
from imaged.model.settings import DhcpMode, DhcpSettings, Settings, Subnet
from imaged.rehearsal import namespace
from imaged.rehearsal.namespace import PrivateNetwork, listening

_STOPS = 10.0  # seconds that an orderly end may take


def rehearsal_settings(site: Settings, state: Path, *, authorized_keys: tuple[str, ...] = ()) -> Settings:
    """The site's settings, moved into the private network: its address, its DHCP, the standard ports. Pure."""
    pool = AddressRange(namespace.POOL_FIRST, namespace.POOL_LAST)
    standard = Settings(address=namespace.SERVER)
    return evolve(
        site,
        address=namespace.SERVER,
        state=PurePosixPath(state),
        interfaces=(namespace.BRIDGE,),
        dhcp=DhcpSettings(mode=DhcpMode.AUTHORITATIVE, subnets=(Subnet(namespace.NETWORK, pool=pool),)),
        tftp=evolve(site.tftp, port=standard.tftp.port),
        http=evolve(site.http, port=standard.http.port),
        rsync=evolve(site.rsync, port=standard.rsync.port),
        authorized_keys=(*site.authorized_keys, *authorized_keys),
        database="",  # the site's nodes are none of a rehearsal's business
    )


class Daemon:
    """`imaged serve` with ``settings``, which are written to ``file``; what it prints goes to ``log``."""

    def __init__(self, settings: Settings, *, network: PrivateNetwork, file: Path, log: Path) -> None:
        self.log = log
        self.file = file
        self._settings, self._network = settings, network
        self._child: subprocess.Popen[bytes] | None = None
        log.unlink(missing_ok=True)  # of an earlier rehearsal
        file.write_text(to_json(settings, indent=2) + "\n")  # JSON is YAML

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its process id, 0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def serves(self) -> bool:
        """Whether all of its ports are open. A process's /proc/PID/net is its own network's, so we need not go in."""
        if not self.alive or not self._network.holds(self.pid):
            return False
        tcp, udp = _sockets(self.pid, "tcp"), _sockets(self.pid, "udp")
        return all(listening(tcp, port) for port in (self._settings.http.port, self._settings.rsync.port)) and all(
            listening(udp, port, udp=True) for port in (self._settings.dhcp.port, self._settings.tftp.port)
        )

    def start(self) -> None:
        """Start it; whether it serves shows later."""
        argv = (sys.executable, "-m", "imaged", "--settings", str(self.file), "serve")
        root = str(Path(imaged.__file__).resolve().parents[1])  # this imaged, whatever directory we are in
        python_path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        self._child = process.start(self._network.inside(argv), output=self.log, env={"PYTHONPATH": python_path})

    def stop(self) -> None:
        """Ask it to end, and insist."""
        if self._child is None:
            return
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOPS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Like a crash: SIGKILL, its rsync children live on."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """The last lines of its log."""
        return tuple(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ()


def _sockets(pid: int, protocol: str) -> str:
    tables = []
    for name in (protocol, f"{protocol}6"):
        try:
            tables.append(Path(f"/proc/{pid}/net/{name}").read_text())
        except OSError:
            continue
    return "\n".join(tables)
