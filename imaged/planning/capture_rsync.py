"""rsync's command lines of a capture, and what its output says. Pure.

Each pass fills an empty directory; what is there already (the last version, what an interrupted pass left) is a
``--link-dest``. So no pass ever changes a file in place: with hard links, that would change the sealed version too
(rsync(1): "existing files may get their attributes tweaked, and that can affect alternate destination files via
hard-links").
"""

import re
import shlex
from collections.abc import Sequence
from enum import Enum

from attrs import frozen

from imaged.model.capture import Golden
from imaged.planning.capture import CapturePlan

# -x: a filesystem that appears while we copy is not entered. -R with every kept mount point named: one transfer, so
# that filter rules mean the same everywhere. -s: names reach the client's rsync without its shell.
# Without --modify-window=-1, times are compared in whole seconds: a directory touched twice in one keeps a wrong time.
_WHAT = ("-aHAXSxRs", "--numeric-ids", "--modify-window=-1", "--from0", "--timeout=600")
_MOST_BASES = 20  # rsync(1), --link-dest
MODULE, FACTS, DONE = "golden", "facts", "done"


def ssh_argv(golden: Golden, control: str) -> tuple[str, ...]:
    """ssh without its host. The admin's options come first: ssh_config(5) takes the first value of each.

    ``control`` is a socket for one connection that all calls share, so that a password is asked for once.
    """
    own = [f"-o{option}" for option in golden.options]
    own += [f"-p{golden.port}"] if golden.port else []
    own += [f"-l{golden.user}"] if golden.user else []
    shared = ("ControlMaster=auto", f"ControlPath={control}", "ControlPersist=60") if control else ()
    alive = ("ServerAliveInterval=15", "ServerAliveCountMax=4", "ConnectTimeout=30")
    return ("ssh", *own, *(f"-o{option}" for option in (*shared, *alive)))


def probe_argv(golden: Golden, control: str) -> tuple[str, ...]:
    """The probe's script is its stdin."""
    shell = ("sudo", "-n", "sh", "-s") if golden.sudo else ("sh", "-s")
    return (*ssh_argv(golden, control), "--", golden.host, shlex.join(shell))


def facts_argv(golden: Golden, into: str) -> tuple[str, ...]:
    """The same answer from a daemon of ``imaged prepareclient``."""
    return ("rsync", "--timeout=60", *_port(golden), f"{_host(golden)}::{FACTS}/probe", into)


def done_argv(golden: Golden) -> tuple[str, ...]:
    """Tells that daemon to end."""
    return ("rsync", "--timeout=60", *_port(golden), f"{_host(golden)}::{DONE}/")


def transfer_argv(
    golden: Golden,
    plan: CapturePlan,
    *,
    control: str,
    rules: str,
    into: str,
    bases: Sequence[str] = (),
    partial: str = "",
) -> tuple[str, ...]:
    """One pass into the empty directory ``into``. ``rules`` is a file of NUL-ended filter rules."""
    links = tuple(f"--link-dest={base}" for base in bases[:_MOST_BASES])
    kept = (f"--partial-dir={partial}",) if partial else ()
    report = ("--stats", "--no-human-readable", "--out-format=%i %n%L")
    return (*_filtered(golden, control, rules), *links, *kept, *report, *_sources(golden, plan), f"{into}/")


def links_argv(golden: Golden, *, control: str, names: str, into: str, like: str) -> tuple[str, ...]:
    """The files that ``names`` (NUL-ended) lists, into the empty directory ``into``; their content from ``like``.

    Which of them are one file there is then to be seen in ``into``.
    """
    source = f"{_host(golden)}::{MODULE}/" if golden.daemon else f"{_host(golden)}:/"
    options = ("--no-implied-dirs", f"--files-from={names}", f"--copy-dest={like}")
    return (*_rsync(golden, control), *options, source, f"{into}/")


def compare_argv(
    golden: Golden, plan: CapturePlan, *, control: str, rules: str, against: str, hidden: bool = False
) -> tuple[str, ...]:
    """What is different from the tree ``against``; writes nothing. ``hidden``: also name what the rules leave out."""
    report = ("--dry-run", "--delete", "--stats", "--no-human-readable", "--out-format=%i %n%L")
    debug = ("-vv",) if hidden else ()  # --debug=FILTER would not be passed on to the client
    return (*_filtered(golden, control, rules), *report, *debug, *_sources(golden, plan), f"{against}/")


def _filtered(golden: Golden, control: str, rules: str) -> tuple[str, ...]:
    return (*_rsync(golden, control), f"--filter=merge {rules}")


def _rsync(golden: Golden, control: str) -> tuple[str, ...]:
    """When we are killed, rsync ends as well: nobody writes into a tree that the next capture takes over."""
    remote = ("--rsync-path=sudo -n rsync",) if golden.sudo else ()
    way = _port(golden) if golden.daemon else (f"--rsh={shlex.join(ssh_argv(golden, control))}", *remote)
    return ("setpriv", "--pdeathsig", "TERM", "rsync", *_WHAT, *way)


def _sources(golden: Golden, plan: CapturePlan) -> tuple[str, ...]:
    paths = [kept.at.strip("/") for kept in plan.kept]
    if golden.daemon:
        places = [f"::{MODULE}/{path}" for path in paths]
    else:
        places = [f":/{path}" for path in paths]
    return (_host(golden) + places[0], *places[1:])


def _port(golden: Golden) -> tuple[str, ...]:
    return (f"--port={golden.port}",) if golden.port else ()


def _host(golden: Golden) -> str:
    """An IPv6 address has colons of its own."""
    return f"[{golden.host}]" if ":" in golden.host else golden.host


class Verdict(Enum):
    """What an exit code of rsync means for a capture (rsync(1), EXIT VALUES)."""

    WHOLE = "whole"
    MOVING = "moving"  # files vanished: the client is at work, look again
    PARTIAL = "partial"  # some files could not be read or changed under our hands
    REFUSED = "refused"  # the other rsync or the daemon does not do this
    BROKEN = "broken"  # the connection ended
    LOCAL = "local"  # our own disk


_VERDICTS = {0: Verdict.WHOLE, 24: Verdict.MOVING, 23: Verdict.PARTIAL, 11: Verdict.LOCAL}
_REFUSED = (1, 2, 3, 4, 5, 6, 13, 14, 21, 22, 25, 124, 125, 126, 127)


def verdict(code: int, said: str) -> Verdict:
    """``said`` is what rsync printed: a full disk on our side ends it with one of several codes."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return Verdict.LOCAL
    return _VERDICTS.get(code, Verdict.REFUSED if code in _REFUSED else Verdict.BROKEN)


@frozen
class Change:
    """A line of rsync's output: ``flags`` as ``%i`` prints them (``>f+++++++++``), or ``*deleting``."""

    flags: str
    path: str

    @property
    def what(self) -> str:
        """``new``, ``gone``, ``content`` or ``attributes``."""
        if self.flags.startswith("*deleting"):
            return "gone"
        if "+++" in self.flags:
            return "new"
        return "content" if self.flags[0] in ">c" and self.flags[1] != "d" else "attributes"


_ITEM = re.compile(r"([<>ch.][fdLDS][.+?cstTpoguaxbn]{9}|\*deleting  ) (.*)", re.DOTALL)
_HIDING = re.compile(r"\[sender\] (?:hiding|protecting) (?:file|directory) (.*) because of pattern (.*)")
_TROUBLE = re.compile(r"rsync: |rsync error: |file has vanished: |WARNING: |ERROR: |@ERROR|ssh: |Host key |Permission ")


def change(line: str) -> Change | None:
    """The change that a line tells of, or None."""
    match = _ITEM.fullmatch(line)
    return Change(match[1].strip(), match[2]) if match else None


def hiding(line: str) -> tuple[str, str] | None:
    """``path, pattern`` of something left out, or None."""
    match = _HIDING.fullmatch(line)
    return (match[1].lstrip("/"), match[2]) if match else None


def is_trouble(line: str) -> bool:
    """Whether a line tells that something is wrong."""
    return bool(_TROUBLE.match(line))


_STATS = re.compile(
    r"(Number of files|Number of regular files transferred|Total file size|Total bytes received): (\d+)"
)


def stat(line: str) -> tuple[str, int] | None:
    """A line of ``--stats``."""
    match = _STATS.match(line)
    return (match[1], int(match[2])) if match else None
