"""An examination of the server that is asked for from elsewhere: `imaged doctor`, as a process of its own."""

import subprocess
import sys
import time
from functools import partial

from attrs import frozen

from imaged import process
from imaged.admin.desk import Desk
from imaged.admin.jobs import Job, Running
from imaged.model.codec import from_json, to_json
from imaged.planning.doctor.finding import Level, Told
from imaged.store import durable
from imaged.store.events import who

_FILE = "doctor.json"


@frozen
class Treatment:
    """``probe``: ask for other DHCP servers on the wire. ``repair``: mend what can be mended without harm; ``remove``:
    also remove what work that was broken off has left."""

    probe: bool = True
    repair: bool = False
    remove: bool = False


@frozen
class Examination:
    """What was found; ``time`` in seconds since the epoch."""

    time: float
    findings: tuple[Told, ...]


def begin(desk: Desk, wanted: Treatment) -> Job:
    """Look, and mend; ``last`` tells what was found."""
    return desk.jobs.begin("repair" if wanted.repair else "doctor", "", partial(_look, desk, wanted))


def last(desk: Desk) -> Examination | None:
    """What was found when it was asked for last; None: nobody has."""
    try:
        text = (desk.state.run / _FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return from_json(text, Examination, where=_FILE)


def _look(desk: Desk, wanted: Treatment, running: Running) -> None:
    """Not in this process: it looks at us as at any other, loads what builds ramdisks, and takes seconds."""
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if "[" not in said:  # what is told on the way; then comes all of it, as JSON
            running.say("", line)

    def started(child: "subprocess.Popen[str]") -> None:
        running.can_be_ended(child.terminate)

    words = [] if wanted.probe else ["--no-probe"]
    words += ["--repair"] if wanted.repair else []
    words += ["--yes"] if wanted.repair and wanted.remove else []
    argv = (sys.executable, "-m", "imaged", "--settings", str(desk.path), "doctor", "--json", *words)
    # Whoever asked for it is behind it as if by sudo(8): events of what is mended are theirs.
    code = process.stream(argv, hear, env={"SUDO_USER": who()}, check=False, on_start=started)
    if said[-1:] != ["]"]:
        raise process.failure(argv, code, "\n".join(said))
    found = from_json("\n".join(said[said.index("[") :]), tuple[Told, ...], where="imaged doctor")
    durable.write_file(desk.state.run / _FILE, to_json(Examination(time.time(), found)))
    for each in found:
        if each.level in (Level.WARNING, Level.ERROR):
            running.say(each.check, f"{each.where}: {each.what}" if each.where else each.what, failed=True)
