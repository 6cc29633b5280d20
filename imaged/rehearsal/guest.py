"""One QEMU machine: its power switch, its console, its disks."""

import json
import platform
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from attrs import evolve, frozen

from imaged import process
from imaged.model.errors import BadInput, NotFound, Unreachable
from imaged.model.hardware import Firmware
from imaged.model.size import format_size
from imaged.qemu.options import Accel
from imaged.rehearsal.machine import Attachments, Identity, MachineSpec, argv, medium_last, must_be_picked
from imaged.rehearsal.namespace import PrivateNetwork
from imaged.rehearsal.stopping import Sign, first, sign


@frozen
class Flash:
    """UEFI's two flash chips, ready-made: its program and its variables. ``package`` is Debian's that has them."""

    code: Path
    variables: Path
    package: str


_OVMF, _AAVMF = Path("/usr/share/OVMF"), Path("/usr/share/AAVMF")
# By processor, and whether Secure Boot is on: with Microsoft's keys, and variables that only the firmware writes.
_FLASH = {
    ("x86_64", False): Flash(_OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd", "ovmf"),
    ("x86_64", True): Flash(_OVMF / "OVMF_CODE_4M.ms.fd", _OVMF / "OVMF_VARS_4M.ms.fd", "ovmf"),
    ("aarch64", False): Flash(_AAVMF / "AAVMF_CODE.fd", _AAVMF / "AAVMF_VARS.fd", "qemu-efi-aarch64"),
    ("aarch64", True): Flash(_AAVMF / "AAVMF_CODE.ms.fd", _AAVMF / "AAVMF_VARS.ms.fd", "qemu-efi-aarch64"),
}
_QMP = 10.0  # seconds
_KERNEL = re.compile(rb"Linux version \d")
# Colours and cursor movements (ECMA-48) of firmware and GRUB: noise in a log that is shown to a person.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")


class Console:
    """What the machine wrote on its serial port, followed as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kernels: tuple[float, ...] = ()
        self._read = 0
        self._rest = b""
        self._sign: Sign | None = None
        self._grown = 0.0

    def follow(self, now: float) -> None:
        """Look at what is new; each first line of a kernel is noted with the time ``now``."""
        new = b""
        with suppress(FileNotFoundError), self.path.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        if not new:
            return
        self._read, self._grown = self._read + len(new), now
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            if _KERNEL.search(line):
                self.kernels += (now,)
                self._sign = None  # whatever it was, the machine has started anew
            self._judge(line)
        self._judge(self._rest)  # a prompt has no end of its line

    def begin(self, now: float) -> None:
        """The machine is switched on: what it said before is another story."""
        self.follow(now)
        self._sign, self._rest = None, b""

    def stopped(self, now: float) -> str:
        """Why nothing more will come from the machine; empty as long as something may."""
        self.follow(now)
        return self._sign.reason if self._sign and now - self._grown >= self._sign.patience else ""

    def _judge(self, line: bytes) -> None:
        for text in readable(line.decode(errors="replace")):
            self._sign = first(self._sign, sign(text))

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """The last lines that are not blank, readable."""
        try:
            text = self.path.read_bytes()[-65536:].decode(errors="replace")
        except FileNotFoundError:
            return ()
        return readable(text)[-lines:]


def readable(text: str) -> tuple[str, ...]:
    """Lines of a terminal's output without its control sequences, blank ones left out. Pure."""
    lines = (_ESCAPES.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in text.split("\n"))
    return tuple(line for line in lines if line)


class Guest:
    """A machine with empty disks, switched off. ``directory`` takes what it needs, ``logs`` what people read later;
    ``medium`` is the boot medium in it, where its spec has one."""

    def __init__(
        self, spec: MachineSpec, who: Identity, *, network: PrivateNetwork, accel: Accel, directory: Path, logs: Path,
        medium: Path | None = None,
    ) -> None:  # fmt: skip
        self.spec, self.who = spec, who
        self.console = Console(logs / f"{who.name}.console.log")
        self.output = logs / f"{who.name}.qemu.log"
        self.powered = 0.0
        self.disks = tuple(directory / f"disk{number}.img" for number in range(len(spec.disks)))
        self._network = network
        self._qmp = directory / "qmp"
        self._child: subprocess.Popen[bytes] | None = None
        directory.mkdir()
        for log in (self.console.path, self.output):
            log.unlink(missing_ok=True)  # of an earlier rehearsal with the same directory for logs
        for path, disk in zip(self.disks, spec.disks, strict=True):
            _make_disk(path, disk.size)
        uefi = spec.firmware is Firmware.UEFI
        variables = directory / "variables.fd"
        flash = _FLASH[spec.arch, spec.secure_boot]
        if uefi:
            _fresh_variables(flash, variables)
        self._attached = Attachments(
            accel=accel if spec.arch == platform.machine() else Accel.TCG,
            taps=tuple(network.tap() for _ in spec.nics),
            disks=tuple(map(str, self.disks)),
            console=str(self.console.path),
            qmp=str(self._qmp),
            code=str(flash.code) if uefi else "",
            variables=str(variables) if uefi else "",
            medium=str(medium or ""),
            medium_first=must_be_picked(spec),
        )

    @property
    def alive(self) -> bool:
        """Whether it is switched on."""
        return self._child is not None and self._child.poll() is None

    def power_on(self) -> None:
        """Press the switch; network boot comes first. Raises CommandFailed when QEMU is not there, or Unreachable."""
        self._qmp.unlink(missing_ok=True)
        self.powered = time.time()
        self.console.begin(self.powered)
        self._child = process.start(self._network.inside(argv(self.spec, self.who, self._attached)), output=self.output)
        if self._attached.medium_first:  # for this one start
            self._attached = evolve(self._attached, medium_first=False)
            self._await_qmp()
            self.command("qom-set", medium_last(self.spec))

    def power_off(self) -> None:
        """Pull the plug: what the guest had not written to its disks yet is lost."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def pull_disk(self, number: int) -> None:
        """Take the ``number``-th disk out of the machine, which is switched off."""
        left = (path if index != number else "" for index, path in enumerate(self._attached.disks))
        self._attached = evolve(self._attached, disks=tuple(left))

    def plug_disks(self) -> None:
        """Put every disk back that was pulled; the machine is switched off."""
        self._attached = evolve(self._attached, disks=tuple(map(str, self.disks)))

    def power_button(self) -> None:
        """Ask the system in the machine to shut down (ACPI). Raises Unreachable when QEMU does not answer."""
        self.command("system_powerdown")

    def command(self, name: str, arguments: Mapping[str, object] | None = None) -> None:
        """Run one QMP command. Raises Unreachable when QEMU does not answer or refuses."""
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(10)
                channel.connect(str(self._qmp))
                with channel.makefile("rwb") as lines:
                    lines.readline()  # the greeting
                    for command, words in (("qmp_capabilities", {}), (name, arguments or {})):
                        lines.write(json.dumps({"execute": command, "arguments": words}).encode() + b"\n")
                        lines.flush()
                        answer = json.loads(lines.readline())
                        while "event" in answer:
                            answer = json.loads(lines.readline())
                        if "error" in answer:
                            raise Unreachable(f"QEMU refused {command}: {answer['error']['desc']}", where=self.who.name)
        except (OSError, ValueError) as error:
            raise Unreachable(f"QEMU did not answer {name}: {error}", where=self.who.name) from None

    def _await_qmp(self) -> None:
        """QEMU listens soon after it has started. Returns in the end all the same: who asks is told what is wrong."""
        deadline = time.monotonic() + _QMP
        while self.alive and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as channel, suppress(OSError):
                channel.connect(str(self._qmp))
                return
            time.sleep(0.02)


def _make_disk(path: Path, size: int) -> None:
    """Sparse: it takes up only what the guest writes."""
    try:
        with path.open("wb") as image:
            image.truncate(size)
    except OSError as error:
        what = f"a disk of {format_size(size)} cannot be made: {error.strerror}"
        raise BadInput(what, where=str(path.parent), hint="The filesystem there sets the limit.") from None


def _fresh_variables(flash: Flash, path: Path) -> None:
    """Each machine has its own boot entries, and a new one has none."""
    if not (flash.code.exists() and flash.variables.exists()):
        hint = f"Install the package {flash.package}."
        raise NotFound("no UEFI firmware for QEMU", where=str(flash.code), hint=hint)
    shutil.copyfile(flash.variables, path)
