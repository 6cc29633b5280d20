"""The command lines of the cluster tools (C3's verbs) on each node, and nodes by their positions. Pure."""

import re
import shlex
from collections.abc import Sequence

from imaged.model.errors import BadInput

_SIGNAL = re.compile(r"[A-Z0-9+-]{1,12}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", re.ASCII)
_WHEN = re.compile(r"now|\+\d{1,5}|([01]?\d|2[0-3]):[0-5]\d", re.ASCII)  # shutdown(8)
_POSITIONS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def kill(name: str, signal: str, user: str) -> str:
    """pkill(1) by the exact name of the process; no such process is no fault. Raises BadInput."""
    if not _SIGNAL.fullmatch(signal):
        raise BadInput(f"{signal!r} is no signal", where="--signal", hint="Such as TERM, HUP or 9.")
    if user and not _USER.fullmatch(user):
        raise BadInput(f"{user!r} is no user", where="--user")
    whose = f" --euid {user}" if user else ""
    return f"pkill --signal {signal}{whose} --exact -- {shlex.quote(name)} || test $? = 1"


def remove(paths: Sequence[str], *, recursive: bool, force: bool) -> str:
    """rm(1). Raises BadInput for what would take the system away, and for what depends on where the shell is."""
    for path in paths:
        if not path.startswith("/"):
            raise BadInput("is not an absolute path", where=path)
        if not re.sub(r"/+\.?(?=/|$)", "", path) or "/../" in f"{path}/":
            raise BadInput("is not a file that can be named for removal", where=path)
    options = ("-r",) * recursive + ("-f",) * force
    return shlex.join(("rm", *options, "--", *paths))


def shutdown(what: str, when: str, message: str, entry: str) -> str:
    """shutdown(8); ``what`` is its option (``--reboot``), ``entry`` a boot menu's that the next start takes, once."""
    if not _WHEN.fullmatch(when):
        raise BadInput(f"{when!r} is no time", hint="Such as now, +5 (minutes) or 23:30.")
    line = shlex.join(("shutdown", what, when, *((message,) if message else ())))
    if not entry:
        return line
    if entry.startswith("-"):  # grub-reboot(8) knows no `--`
        raise BadInput(f"{entry!r} is no entry of a boot menu", where="--onreboot")
    once = f"grub-reboot {shlex.quote(entry)} || grub2-reboot {shlex.quote(entry)}"
    return f"{{ {once}; }} && {line}"


def at_positions(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names at ``0-3,5``, counted from 0 as C3 does; all of them where ``text`` is empty. Raises BadInput."""
    if not text:
        return tuple(names)
    found: list[str] = []
    for word in text.split(","):
        match = _POSITIONS.fullmatch(word)
        if not match:
            raise BadInput(f"{word!r} is no position", hint="Such as 0-3,5; the first node is at 0.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= len(names):
            raise BadInput(f"there is no node at position {max(first, last)}", hint=f"There are {len(names)}, from 0.")
        found += names[first : last + 1]
    return tuple(found)
