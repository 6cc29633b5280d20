"""How an install or an update goes: reports become a track, and a track at a moment what people see. Pure."""

from enum import Enum
from typing import Final

from attrs import evolve, frozen

from imaged.model.life import Life
from imaged.model.node import BootAction, NodeState
from imaged.model.outcome import Outcome
from imaged.model.report import Report, Status

# Phases in their order, each with the seconds that it usually takes: what percents and forecasts are made of.
INSTALL: Final = {
    "claim": 1, "inventory": 2, "plan": 1, "pre-install": 1, "wipe": 2, "partition": 2, "mkfs": 3, "mount": 1,
    "transfer": 60, "fixups": 15, "post-install": 2, "bootloader": 6, "verify": 3, "unmount": 2, "reboot": 2,
    "boot": 40,
}  # fmt: skip
UPDATE: Final = {"compare": 5, "fetch": 20, "apply": 5, "fixups": 10, "bootloader": 3, "scripts": 2}
BOOT: Final = "boot"  # the way from the last report of an install to the first of the installed system
QUEUE: Final = "queue"  # the server's own word on a node that waits for a slot; in no order
UP: Final = "up"

_WINDOW: Final = 15.0  # seconds over which a speed is measured
_FRESH: Final = 15.0  # seconds for which it is shown
# Seconds without a word until something must be wrong. An agent that transfers speaks every two seconds, but for a
# minute between attempts; nothing is heard while file systems are made or a machine's firmware tests its memory.
_SILENCE: Final = {"transfer": 90.0, BOOT: 1200.0}
_LONG_SILENCE: Final = 900.0
_NO_PROGRESS: Final = 300.0  # seconds in which a transfer that is not queued moves nothing


class Standing(Enum):
    """Where a node is; those that need a person first."""

    FAILED = "failed"
    STALLED = "stalled"
    WAITING = "waiting"  # for a person: a breakpoint
    INSTALLING = "installing"
    UPDATING = "updating"
    BOOTING = "booting"
    DEFINED = "defined"
    READY = "ready"


URGENT: Final = (Standing.FAILED, Standing.STALLED, Standing.WAITING)


@frozen
class Track:
    """What counts of the reports of one install or update. Times are the server's.

    ``samples`` are the latest (time, percent) of the phase, ``advanced`` when its percent last grew. ``asks``: what the
    agent said when it stopped for a person; ``queued``: what the server said when the node had to wait.
    """

    began: float
    last: float
    phase: str
    entered: float
    order: tuple[str, ...]
    over: bool = False
    samples: tuple[tuple[float, float], ...] = ()
    advanced: float = 0.0
    asks: str = ""
    queued: str = ""

    @property
    def percent(self) -> float:
        """Of the phase."""
        return 100.0 if self.over else self.samples[-1][1] if self.samples else 0.0


def told(track: Track | None, time: float, report: Report) -> Track | None:
    """The track after one more report; None: nothing is under way."""
    if report.phase == UP:
        return None
    if report.phase == QUEUE:
        return evolve(track, last=time, queued=report.message) if track else None
    if report.phase not in INSTALL and report.phase not in UPDATE:
        return evolve(track, last=time) if track else None
    if track is None or _begins_anew(track, report):
        order = tuple(UPDATE if report.phase in UPDATE else INSTALL)
        track = Track(time, time, report.phase, time, order, advanced=time)
    if report.phase != track.phase or report.status is Status.STARTED:
        track = Track(track.began, time, report.phase, time, track.order, samples=((time, 0.0),), advanced=time)
    track = evolve(track, last=time, over=report.status is Status.DONE, asks="")
    if report.status is Status.PROGRESS and report.percent is None:
        return evolve(track, asks=report.message)
    if report.percent is not None:
        percent = min(100.0, max(0.0, report.percent))
        advanced = time if percent > track.percent else track.advanced
        samples = (*_recent(track.samples, time), (time, percent))
        return evolve(track, samples=samples, advanced=advanced)
    return track


def _begins_anew(track: Track, report: Report) -> bool:
    """Phases go one way: an earlier one belongs to the next run. A claim is always the first word of an install."""
    if report.phase not in track.order or report.phase == track.order[0]:
        return report.phase != track.phase or report.status is Status.STARTED
    return track.order.index(report.phase) < track.order.index(track.phase)


def _recent(samples: tuple[tuple[float, float], ...], now: float) -> tuple[tuple[float, float], ...]:
    """The window, and the last sample before it."""
    old = [sample for sample in samples if sample[0] < now - _WINDOW]
    return (*old[-1:], *(sample for sample in samples if sample[0] >= now - _WINDOW))


@frozen
class Course:
    """One node as people see it. ``percent`` is of the whole way, ``speed`` in bytes a second, ``left`` in seconds.

    ``seen``: seconds since it was last heard of; None: never. ``foreign``: it is installed by SystemImager.
    """

    node: str
    standing: Standing
    phase: str = ""
    percent: float | None = None
    speed: float | None = None
    left: float | None = None
    seen: float | None = None
    message: str = ""
    foreign: bool = False


def course(life: Life, track: Track | None, now: float, size: int = 0) -> Course:
    """``size``: bytes of the version that is installed."""
    standing, message = _standing(life, track, now)
    seen = max(0.0, now - life.last_seen) if life.last_seen is not None else None
    phase = _phase(life, track)
    if not phase or standing is Standing.READY:
        return Course(life.node, standing, phase, seen=seen, message=message)
    typical = UPDATE if life.state is NodeState.READY else INSTALL
    rate = _rate(track, now) if track and phase == "transfer" and standing is Standing.INSTALLING else None
    return Course(
        life.node,
        standing,
        phase,
        _percent(typical, phase, track),
        rate * size / 100 if rate is not None and size else None,
        None if standing in URGENT else _left(typical, phase, track, rate, now),
        seen,
        message,
    )


def _phase(life: Life, track: Track | None) -> str:
    if life.state is NodeState.INSTALLED:
        return BOOT
    if life.state is NodeState.READY:
        return (track.phase if track else next(iter(UPDATE))) if life.updating else ""
    if life.state in (NodeState.INSTALLING, NodeState.FAILED):
        return track.phase if track else next(iter(INSTALL))
    return ""


def _standing(life: Life, track: Track | None, now: float) -> tuple[Standing, str]:
    if life.state is NodeState.FAILED:
        return Standing.FAILED, life.reason
    if life.state is NodeState.READY and not life.updating:
        if life.outcome not in (None, Outcome.DONE):
            return Standing.FAILED, f"update {life.outcome.value}: {life.message or 'the node gave no reason'}"
        return Standing.READY, "" if life.action is BootAction.LOCAL else f"next boot: {life.action.value}"
    if life.state is NodeState.DEFINED:
        return Standing.DEFINED, "" if life.last_seen is None else "has asked for an address"
    stalled = stalled_by(life, track, now)
    if stalled:
        return Standing.STALLED, stalled
    if life.state is NodeState.INSTALLED:
        return Standing.BOOTING, "starts from its own disk"
    if life.state is NodeState.READY:
        return Standing.UPDATING, f"to {life.updating}"
    if track and track.asks:
        return Standing.WAITING, track.asks
    return Standing.INSTALLING, (track.queued if track else "") or life.installing


def stalled_by(life: Life, track: Track | None, now: float) -> str:
    """Why a node that is under way must be stuck; empty: it is not, as far as can be told."""
    phase = _phase(life, track)
    if life.state in (NodeState.FAILED, NodeState.DEFINED) or not phase or life.last_seen is None:
        return ""
    if track and track.asks and phase != BOOT:
        return ""
    silent = now - life.last_seen
    if silent > _SILENCE.get(phase, _LONG_SILENCE):
        return "has not come up from its own disk" if phase == BOOT else f"nothing heard for {spoken(silent)}"
    if phase == "transfer" and track and not (track.over or track.queued) and now - track.advanced > _NO_PROGRESS:
        return f"at {track.percent:.0f} % of the transfer for {spoken(now - track.advanced)}"
    return ""


def _percent(typical: dict[str, int], phase: str, track: Track | None) -> float:
    within = track.percent if track and track.phase == phase else 0.0
    done = sum(typical[each] for each in _until(typical, phase))
    return 100.0 * (done + typical.get(phase, 0) * within / 100.0) / sum(typical.values())


def _left(typical: dict[str, int], phase: str, track: Track | None, rate: float | None, now: float) -> float | None:
    """Seconds; None where it cannot be told: in the queue, or before a transfer has moved."""
    if phase not in typical or track is None or track.queued:
        return None
    later = sum(typical.values()) - sum(typical[each] for each in (*_until(typical, phase), phase))
    if phase == "transfer" and not track.over:
        return (100.0 - track.percent) / rate + later if rate else None
    if phase == track.phase and track.over:
        return float(later)
    since = track.entered if phase == track.phase else track.last
    return max(0.0, typical[phase] - (now - since)) + later


def _until(typical: dict[str, int], phase: str) -> list[str]:
    phases = list(typical)
    return phases[: phases.index(phase)] if phase in typical else []


def _rate(track: Track, now: float) -> float | None:
    """Percent a second, never less than nothing; None where there is nothing fresh to tell it by."""
    if len(track.samples) < 2 or track.over or now - track.last > _FRESH:
        return None
    (begin, low), (end, high) = track.samples[0], track.samples[-1]
    return max(0.0, high - low) / (end - begin) if end > begin else None


def spoken(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h``, ``2 d``."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
