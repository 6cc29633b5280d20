"""The server's own system: its clock, the programs it needs, and what it may use of the machine."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from attrs import frozen

from imaged.model.settings import Settings
from imaged.model.size import GIB, MIB, format_size
from imaged.planning.doctor.finding import Finding, Voice

_CLOCK, _PROGRAMS, _LIMITS = Voice("clock"), Voice("programs"), Voice("limits")
_FIRST_YEAR, _LAST_YEAR = 2025, 2100
_BACKWARDS = 300  # seconds by which a clock may have been set back
_OLDEST_RSYNC = (3, 2)
_VERSION = re.compile(r"version v?(\d+)\.(\d+)")
_LEAST_MEMORY = 256 * MIB
# Program: who needs it.
PROGRAMS = {
    "ssh": "imaged updateclient, cexec and getimage",
    "mmdebstrap": "imaged buildimage and mkramdisk",
    "zstd": "imaged mkramdisk",
    "cpio": "imaged mkramdisk",
    "ip": "imaged rehearse",
    "qemu-img": "imaged importimage of disks, and rehearse",
}
_PER_SESSION, _PER_TRANSFER, _OWN = 2, 3, 256  # descriptors


@frozen
class Clock:
    """``now`` in seconds since the epoch; ``synchronised`` None: the kernel does not say. ``latest`` is the youngest
    time that is written in the database."""

    now: float
    synchronised: bool | None = None
    latest: float = 0.0


@frozen
class Limits:
    """Of the daemon, or of what it would get. Bytes; ``files`` are descriptors."""

    files: int
    memory: int
    available: int


def clock_findings(clock: Clock) -> Iterator[Finding]:
    """Tokens, leases and versions carry times."""
    shown = datetime.fromtimestamp(clock.now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if not _FIRST_YEAR <= int(shown[:4]) <= _LAST_YEAR:
        yield _CLOCK.error(f"it is not {shown}", todo="Set the clock, and let NTP keep it.")
    elif clock.now < clock.latest - _BACKWARDS:
        written = datetime.fromtimestamp(clock.latest, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        what = f"it is {shown}, and the database has something of {written}: leases and tokens hold for too long"
        yield _CLOCK.error(what, todo="Set the clock, and let NTP keep it.")
    elif clock.synchronised is False:
        todo = "Run chrony or systemd-timesyncd; nodes that ask this server for the time get it wrong."
        yield _CLOCK.warning(f"it is {shown}, and nothing keeps it right", todo=todo)
    else:
        yield _CLOCK.ok(f"{shown}{', kept by NTP' if clock.synchronised else ''}")


def program_findings(rsync: str, found: Mapping[str, bool], settings: Settings) -> Iterator[Finding]:
    """``rsync`` is what ``rsync --version`` printed, empty where it is not there."""
    name = settings.rsync.program
    match = _VERSION.search(rsync)
    if not rsync:
        yield _PROGRAMS.error("is not installed: no node gets an image", name, "Install the package rsync.")
    elif match is None:
        yield _PROGRAMS.warning("does not tell its version", name)
    elif (int(match[1]), int(match[2])) < _OLDEST_RSYNC:
        todo = "3.2 at least: older ones do not take a configuration as we write it."
        yield _PROGRAMS.error(f"is {match[1]}.{match[2]}", name, todo)
    else:
        yield _PROGRAMS.ok(f"is {match[1]}.{match[2]}", name)
    for program, there in found.items():
        if not there:
            yield _PROGRAMS.note(f"is not installed: {PROGRAMS[program]} need it", program)


def limit_findings(limits: Limits, settings: Settings) -> Iterator[Finding]:
    """Descriptors for as many transfers as the settings allow, and memory."""
    needed = settings.tftp.sessions * _PER_SESSION + settings.rsync.transfers * _PER_TRANSFER + _OWN
    if limits.files < needed:
        todo = f"LimitNOFILE={needed} in the systemd unit, or fewer `tftp.sessions`."
        yield _LIMITS.warning(f"{limits.files} open files, and the settings allow for {needed}", todo=todo)
    if limits.available < _LEAST_MEMORY:
        what = f"{format_size(limits.available)} of {format_size(limits.memory)} memory are free"
        yield _LIMITS.warning(what, todo="Transfers are slow where files cannot be cached.")
    if limits.files >= needed and limits.available >= _LEAST_MEMORY:
        memory = format_size(limits.available // GIB * GIB if limits.available >= GIB else limits.available)
        yield _LIMITS.ok(f"{limits.files} open files, {memory} memory free")
