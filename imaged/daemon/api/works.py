"""What takes longer than a request: the jobs there are, and examining the server."""

from attrs import frozen

from imaged.admin import doctor
from imaged.admin.doctor import Examination, Treatment
from imaged.admin.jobs import Job
from imaged.daemon.api.route import Call
from imaged.model.errors import NotFound


@frozen
class JobList:
    """The latest last."""

    jobs: tuple[Job, ...]


@frozen
class Look:
    """``probe``: ask for other DHCP servers on the wire, too."""

    probe: bool = True


@frozen
class Repair:
    """``remove``: also remove what work that was broken off has left; what is gone then is gone."""

    probe: bool = True
    remove: bool = False


def every(call: Call[None, None]) -> JobList:
    """List what was begun, and how it does or has ended."""
    return JobList(call.desk.jobs.every())


def one(call: Call[None, None]) -> Job:
    """How something does that was begun, and what came of it so far."""
    return call.desk.jobs.get(_number(call))


def stop(call: Call[None, None]) -> Job:
    """Begin no more of it: what has begun ends. Nothing changes of what is over."""
    return call.desk.jobs.stop(_number(call))


def examination(call: Call[None, None]) -> Examination:
    """What the server's doctor found when it was asked last."""
    found = doctor.last(call.desk)
    if found is None:
        raise NotFound("nobody has asked the doctor yet", hint="POST /v1/doctor does.")
    return found


def examine(call: Call[None, Look]) -> Job:
    """Look at everything that installs depend on. Nothing is changed."""
    return doctor.begin(call.desk, Treatment(probe=call.body.probe))


def repair(call: Call[None, Repair]) -> Job:
    """Mend what can be mended without harm. Each is an event."""
    return doctor.begin(call.desk, Treatment(call.body.probe, repair=True, remove=call.body.remove))


def _number(call: Call[None, None]) -> int:
    text = call.path["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"{text[:40]!r} is not the number of a job")
    return int(text)
