"""Machines that SystemImager installs, among ours: what they say becomes a record, and a record a course. Pure."""

from typing import Final

from attrs import evolve

from imaged.model.foreign import Foreign
from imaged.planning.course import BOOT, Course, Standing, spoken
from imaged.wire.systemimager import Said, Update

# Statuses from 100 on (lib/systemimager-lib.sh, update_client_status): what they are called, and where that leaves one.
_PHASES: Final = {
    100: ("imaged", Standing.INSTALLING),
    101: ("finalizing", Standing.INSTALLING),
    102: ("", Standing.READY),
    103: ("beeping", Standing.WAITING),
    104: (BOOT, Standing.BOOTING),
    105: ("switched off", Standing.READY),
    106: ("shell", Standing.WAITING),
    107: ("extracting", Standing.INSTALLING),
    108: ("pre-install", Standing.INSTALLING),
    109: ("post-install", Standing.INSTALLING),
}
_SILENCE: Final = {"transfer": 90.0, BOOT: 1200.0}  # seconds; in a transfer they speak every ten
_LONG_SILENCE: Final = 900.0
FORGOTTEN: Final = 86400.0  # seconds without a word until one is forgotten


def updated(known: Foreign, update: Update, now: float) -> Foreign:
    """The record after an update. A status of 0 begins a new install, which has no trouble yet."""
    said = {key: getattr(update, key) for key in ("host", "address", "image", "kernel", "cpu") if getattr(update, key)}
    said |= {key: getattr(update, key) for key in ("status", "speed") if getattr(update, key) is not None}
    trouble = "" if update.status == 0 else known.trouble
    return evolve(known, last_seen=now, trouble=trouble, **said)


def said(known: Foreign, line: Said, now: float) -> Foreign:
    """The record after a line of its log."""
    return evolve(known, last_seen=now, trouble=line.message if line.is_trouble else known.trouble)


def course(foreign: Foreign, now: float) -> Course:
    """As people see it beside our nodes."""
    phase, standing = _where(foreign.status)
    silent = max(0.0, now - foreign.last_seen)
    message = foreign.image
    if standing is Standing.FAILED:
        message = foreign.trouble or f"error {foreign.status:.0f}"
    elif standing in (Standing.INSTALLING, Standing.BOOTING) and silent > _SILENCE.get(phase, _LONG_SILENCE):
        standing, message = Standing.STALLED, f"nothing heard for {spoken(silent)}"
    moving = standing is Standing.INSTALLING and phase == "transfer"
    return Course(
        foreign.host or str(foreign.mac),
        standing,
        phase,
        None if standing is Standing.READY else min(100.0, max(0.0, foreign.status)),
        foreign.speed if moving else None,
        None,
        silent,
        f"SystemImager: {message}" if message else "SystemImager",
        foreign=True,
    )


def _where(status: float) -> tuple[str, Standing]:
    if status < 0:
        return "", Standing.FAILED
    if status < 100:
        return ("transfer" if status > 0 else "claim"), Standing.INSTALLING
    return _PHASES.get(int(status), (f"status {status:.0f}", Standing.INSTALLING))
