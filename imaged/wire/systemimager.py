"""What SystemImager's clients tell its monitor: bytes of one line to a value. TCP, lines, nothing is answered.

4.x (``send_monitor_msg``): a connection for each line of ``key=value`` fields between colons, the MAC with dots, speed
in KiB/s, numbers as bc(1) writes them (``.50``). 5.x (``si_report.stream``): one connection, ``MAC:address;uptime``,
then ``UPD:`` and ``LOG:`` with JSON whose values are strings; after the reboot a lone ``UPD:``.
"""

import json
import math
import re
from typing import Any, Final

from attrs import frozen

from imaged.model.errors import BadInput, MalformedPacket
from imaged.model.net import Mac

LONGEST: Final = 16384  # bytes of a line
_TEXT: Final = 200  # signs of a value that are kept
_NUMBER: Final = re.compile(r"-?(\d{1,15}(\.\d{0,6})?|\.\d{1,6})", re.ASCII)
_KIB: Final = 1024


@frozen
class Hello:
    """The first line of a 5.x client: everything that follows is of this machine."""

    mac: Mac


@frozen
class Update:
    """How a machine does. None and empty: it did not say. ``speed`` in bytes a second.

    Without a ``mac`` it is of the connection's machine.
    """

    mac: Mac | None = None
    host: str = ""
    address: str = ""
    image: str = ""
    kernel: str = ""
    cpu: str = ""
    status: float | None = None
    speed: float | None = None


@frozen
class Said:
    """A line of a 5.x client's log, with syslog(3)'s ``facility.level``."""

    priority: str
    message: str

    @property
    def is_trouble(self) -> bool:
        """An error or worse."""
        return self.priority.rpartition(".")[2] in ("err", "error", "crit", "alert", "emerg")


def decode(line: bytes) -> Hello | Update | Said:
    """Raises MalformedPacket."""
    if len(line) > LONGEST:
        raise MalformedPacket(f"a line of {len(line)} bytes")
    kind, colon, rest = line.decode("utf-8", "replace").strip().partition(":")
    if colon and kind == "MAC":
        return Hello(_mac(rest.partition(";")[0]))
    if colon and kind == "UPD":
        return _update(_object(rest), "name")
    if colon and kind == "LOG":
        said = _object(rest)
        return Said(_text(said.get("PRIORITY")), _text(said.get("MESSAGE")))
    if kind.startswith("mac="):
        # What a value has of colons is lost on the way, as it is in SystemImager's own monitor.
        return _update(dict(part.split("=", 1) for part in f"{kind}:{rest}".split(":") if "=" in part), "mac")
    raise MalformedPacket(f"no message of SystemImager's: {_text(kind)[:40]!r}")


def _update(said: dict[str, Any], mac: str) -> Update:
    speed = _number(said.get("speed"))
    return Update(
        _mac(str(said[mac])) if said.get(mac) else None,
        _text(said.get("host")),
        _text(said.get("ip")),
        _text(said.get("os")),
        _text(said.get("kernel")),
        _text(said.get("cpu")),
        _number(said.get("status")),
        None if speed is None else max(0.0, speed * _KIB),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, strict=False)  # its log has control characters as they are
    except (ValueError, RecursionError):
        raise MalformedPacket("not JSON") from None
    if not isinstance(found, dict):
        raise MalformedPacket("no JSON object")
    return found


def _mac(text: str) -> Mac:
    try:
        return Mac.parse(text.strip().replace(".", ":"))
    except BadInput as error:
        raise MalformedPacket(error.what) from None


def _text(value: Any) -> str:
    """Anything as a short text that no terminal obeys."""
    text = value if isinstance(value, str) else "" if value is None else str(value)[:_TEXT]
    return "".join(sign if sign.isprintable() else " " for sign in text[:_TEXT]).strip()


def _number(value: Any) -> float | None:
    """None for what is no number: clients of 5.x send ``status`` cut short."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and abs(value) < 1e15 else None
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) else None
