"""Whether what nodes fetch first really comes, by the way that they take."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from imaged.planning.doctor.finding import Finding, Voice

_SAY = Voice("service")


@frozen
class Fetched:
    """``what`` is a URL or the like. ``error`` is empty where it came whole and as it is on the disk."""

    what: str
    size: int = 0
    error: str = ""


def findings(fetched: Sequence[Fetched], shut: Sequence[str]) -> Iterator[Finding]:
    """Of each attempt. ``shut``: what a packet filter keeps from this machine itself, so that nothing was tried."""
    for what in shut:
        yield _SAY.note("could not be tried from here: a packet filter drops it on the loopback", what)
    for each in fetched:
        if each.error:
            todo = "See the daemon's log, the firewall, and `address` in the settings."
            yield _SAY.error(each.error, each.what, todo)
        else:
            yield _SAY.ok(f"answers ({each.size} bytes)" if each.size else "answers", each.what)
