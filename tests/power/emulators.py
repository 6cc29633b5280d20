"""BMCs that are not there: OpenIPMI's ipmi_sim, pyghmi's own BMC, and sushy-tools' Redfish emulator, on loopback."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from imaged.model.power import PowerAccess, PowerAddress

USER, PASSWORD = "admin", "swordfish"
SYSTEM = "27946b59-9e44-4fa7-8e91-f3527a1ef094"
PATIENCE = 60.0  # seconds until an emulator must be there, on a busy machine
IPMI_SIM = shutil.which("ipmi_sim")

_LAN = """
name "{name}"
set_working_mc 0x20
startlan 1
  addr 127.0.0.1 {port}
  priv_limit admin
  allowed_auths_admin md5{twenty}
endlan
chassis_control "{chassis}"
user 2 true "{user}" "{password}" admin 10 md5
"""
_MC = "debug msg\nmc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n"
# With an id it speaks IPMI 2.0, and the levels below have to let in whoever asks what it can do.
_TWENTY = """
  allowed_auths_callback md5
  allowed_auths_user md5
  allowed_auths_operator md5
  guid a123456789abcdefa123456789abcdef"""
# What the simulator asks of the machine that it is on: each request is written down.
_CHASSIS = """#!/bin/sh
cd {directory} || exit 1
echo "$@" >> asked
case "$1 $2" in
  "get power") echo "power:$(cat power)" ;;
  "set power") if [ -p held ]; then echo "$3" > told; read -r _ < held; rm held; fi; echo "$3" > power ;;
esac
"""
# The emulator takes up to eleven seconds to switch, to be like a machine.
_REDFISH = "import random; random.randint = lambda *_: 0\nfrom sushy_tools.emulator.main import main; main()"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Board:
    """A machine with an IPMI BMC. ``asked`` is what its chassis was told, in order."""

    def __init__(self, directory: Path, *, on: bool, odd: bool = False) -> None:
        (directory / "state").mkdir(parents=True)
        self.directory, self.port = directory, free_port(socket.SOCK_DGRAM)
        (directory / "power").write_text("1" if on else "0")
        chassis = directory / "chassis"
        chassis.write_text(_CHASSIS.format(directory=directory))
        chassis.chmod(0o755)
        (directory / "mc").write_text(_MC)
        (directory / "lan").write_text(
            _LAN.format(
                name=directory.name, port=self.port, chassis=chassis, user=USER, password=PASSWORD,
                twenty="" if odd else _TWENTY,
            )
        )  # fmt: skip
        with (directory / "talk").open("wb") as talk:
            self.process = subprocess.Popen(
                (str(IPMI_SIM), "-c", directory / "lan", "-f", directory / "mc", "-s", directory / "state"),
                stdin=subprocess.PIPE, stdout=talk, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def access(self) -> PowerAccess:
        return access(f"ipmi://{USER}@127.0.0.1:{self.port}")

    def hold(self) -> None:
        """It stops in the middle of the next switch of its power."""
        for name in ("told", "held"):
            os.mkfifo(self.directory / name)

    def await_held(self) -> None:
        """Until it has stopped there."""
        (self.directory / "told").read_text()

    def release(self) -> None:
        """It goes on."""
        (self.directory / "held").write_text("go\n")

    def close(self) -> None:
        """Its console ends, and so does it."""
        assert self.process.stdin
        self.process.stdin.close()
        end(self.process)

    def requests(self) -> list[str]:
        """Those to the chassis that carry data, in hex digits: command and data. Known once it is closed."""
        talk = (self.directory / "talk").read_bytes().decode(errors="replace").replace("\r", "").replace("\0", "")
        asked = re.findall(r"netfn=0x0 cmd=0x(\w+) .*\n.*\n ([0-9a-f]{2}[0-9a-f ]*)\n", talk)
        return [" ".join(each) for each in asked]

    @property
    def on(self) -> bool:
        return (self.directory / "power").read_text().strip() == "1"

    @property
    def asked(self) -> list[str]:
        path = self.directory / "asked"
        return [line for line in path.read_text().splitlines() if line.startswith("set")] if path.exists() else []


@contextmanager
def boards(directory: Path, count: int, *, on: bool = False, odd: Collection[int] = ()) -> Iterator[list[Board]]:
    made: list[Board] = []
    try:
        for number in range(count):
            made.append(Board(directory / f"board{number}", on=on, odd=number in odd))
        yield made
    finally:
        for board in made:
            board.close()


class Service:
    """A Redfish service; ``fingerprint`` is that of its self-signed ``certificate``."""

    def __init__(self, port: int, fingerprint: str, certificate: Path) -> None:
        self.port, self.fingerprint, self.certificate = port, fingerprint, certificate
        self.url = f"redfish://{USER}@127.0.0.1:{port}/redfish/v1/Systems/{SYSTEM}"
        self.access = access(self.url, fingerprint=fingerprint)

    def boot(self) -> tuple[str, str]:
        """Device and mode of the override, asked by another client than ours. The emulator does not tell how long."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/redfish/v1/Systems/{SYSTEM}", headers={"Authorization": f"Basic {login}"}
        )
        with urllib.request.urlopen(request, context=context) as found:
            boot = json.load(found)["Boot"]
        return boot["BootSourceOverrideTarget"], boot["BootSourceOverrideMode"]


@contextmanager
def redfish(directory: Path) -> Iterator[Service]:
    """sushy-emulator with its fake driver: one machine, which is off."""
    port = free_port(socket.SOCK_STREAM)
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=bmc", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        check=True, capture_output=True,
    )  # fmt: skip
    users = directory / "users"
    hashed = _bcrypt(PASSWORD)
    users.write_text(f"{USER}:{hashed}\n")
    settings = directory / "emulator.conf"
    settings.write_text(
        f"SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n"
        f"SUSHY_EMULATOR_SSL_CERT = '{certificate}'\nSUSHY_EMULATOR_SSL_KEY = '{key}'\n"
        f"SUSHY_EMULATOR_FAKE_DRIVER = True\nSUSHY_EMULATOR_STATE_DIR = '{directory}'\n"
        f"SUSHY_EMULATOR_AUTH_FILE = '{users}'\n"
    )
    log = directory / "emulator.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            (sys.executable, "-c", _REDFISH, "--config", str(settings)),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _await_port(port, process, log)
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        yield Service(port, hashlib.sha256(der).hexdigest(), certificate)
    finally:
        end(process)


def access(url: str, **more: object) -> PowerAccess:
    return PowerAccess(PowerAddress.parse(url), PASSWORD, **more)  # type: ignore[arg-type]


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _bcrypt(password: str) -> str:
    import bcrypt  # sushy-tools brings it

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the emulator is not there:\n{log.read_text()}")
