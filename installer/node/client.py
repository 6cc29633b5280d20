"""``imaged updateclient`` on a node: asks the server, brings the manifest, has the update done, tells how it went."""

import os
import sys
import threading
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

from installer.node import answer as answering
from installer.node import known, survey, trial, update
from installer.node.actions import PROTECTED
from installer.node.answer import Outcome
from installer.node.errors import DONE, REFUSED, Failed
from installer.node.fetch import server as rsync_of
from installer.node.known import Known
from installer.node.place import Place
from installer.node.process import run
from installer.node.server import SILENCE, Server
from installer.node.site import Site
from installer.node.state import State
from installer.node.update import Options

Plan = Dict[str, Any]
_LOG = "var/log/imaged.log"
_PATIENCE = 1.0  # seconds
_MOST_LOG = 4 << 20  # bytes; the log before that is kept once


class Wish(NamedTuple):
    """The command line. ``kernel`` is the running one's version, of interest only where ``root`` is ``/``. ``sleep``
    waits before the server is tried again, ``silence`` is after how many seconds it counts as hung."""

    root: str
    options: Options
    to: Optional[int] = None
    reboot: str = "never"
    as_json: bool = False
    kernel: str = ""
    sleep: Callable[[float], None] = time.sleep
    silence: float = SILENCE


def updateclient(wish: Wish) -> int:
    """Exit code. Raises Failed for what keeps it from beginning; what fails later is told to the server too."""
    state = State(wish.root)
    with state.locked():
        server = Server(state.server(), state.secret(), wish.sleep, wish.silence)
        plan = _plan(wish, state, server)
        return _follow(wish, state, server, plan) if plan is not None else _say_in_step(wish, state)


def _plan(wish: Wish, state: State, server: Server) -> Optional[Plan]:
    """What to do, or None: the server has nothing new for us, and nothing here is other than it was left.

    The server is asked one small question; that this tree is still as the last update left it, it need not know.
    """
    serial, last = state.text("serial"), state.value("plan.json")
    unquestioned = last is not None and not wish.options.full and os.path.exists(state.path("manifest"))
    if serial and unquestioned:
        plan = server.update(serial, wish.to, wish.options.dry_run)
        if plan is not None:
            return plan
        assert last is not None
        if _untouched(wish, state, last, known.kept(state)):
            return None
    return server.update("", wish.to, wish.options.dry_run)


def _untouched(wish: Wish, state: State, last: Plan, here: Known) -> bool:
    """Whether nothing in the tree asks for an update. What was proven is kept for the next time."""
    place = Place(os.fsencode(wish.root))
    try:
        site, rules = _site(wish, state, None, _quiet), survey.rules_of(last, wish.root)
        actions = update.proposal(site, place, last, here, rules, wish.options).actions
    finally:
        place.close()
    known.remember(state, here, last)
    drifted = any(True for _ in survey.drifted_fixups(wish.root, last))
    return not drifted and all(each.verb == PROTECTED for each in actions)


def _follow(wish: Wish, state: State, server: Server, plan: Plan) -> int:
    """Carry out a plan, and tell the server how it ended, whatever happens."""
    log = _Log(os.path.join(wish.root, _LOG))
    site = _site(wish, state, None if wish.options.dry_run else server, log.say)
    log.say("update to {}, serial {}".format(plan["image"], plan["serial"]))
    try:
        here = known.bring(state, server, plan)
        source = rsync_of(server.host, plan["rsync_port"], plan["node"], server.secret)
        outcome = update.update(site, plan, here, source, wish.options)
        if wish.options.whole and not wish.options.dry_run:
            known.commit(state, here, plan)
    except Failed as error:
        log.say("FAILED: {}".format(error))
        return _failed(wish, server, plan, error)
    except OSError as error:
        failed = Failed.of(error)
        log.say("FAILED: {}".format(failed))
        return _failed(wish, server, plan, failed)
    except KeyboardInterrupt:
        _failed(wish, server, plan, Failed("interrupted"))
        raise
    answer = answering.answer(plan["image"], outcome)
    try:
        if not wish.options.dry_run:
            log.say("done")
            server.updated(_told(plan, answer))
    except Failed:
        state.forget("serial")  # the next run asks for a plan again, finds nothing to do and tells
        raise
    finally:
        _print(wish, plan, outcome, answer)
    _reboot(wish, plan, outcome, site)
    return DONE


def _failed(wish: Wish, server: Server, plan: Plan, error: Failed) -> int:
    word = "refused" if error.code == REFUSED else "failed"
    answer = answering.answer(plan["image"], Outcome((), (), False), word, str(error))
    if not wish.options.dry_run:
        try:
            server.updated(_told(plan, answer))
        except Failed as silence:
            sys.stderr.write("imaged: {}\n".format(silence))
    if wish.as_json:
        sys.stdout.write(answering.as_json(answer) + "\n")
    sys.stderr.write("imaged: {}\n".format(error))
    return error.code


def _told(plan: Plan, answer: Dict[str, Any]) -> Dict[str, Any]:
    """``imaged.model.update.Updated``."""
    keys = ("outcome", "message", "added", "changed", "deleted", "protected", "reboot")
    return dict({key: answer[key] for key in keys}, image=plan["image"], serial=plan["serial"])


def _say_in_step(wish: Wish, state: State) -> int:
    image = str((state.value("plan.json") or {}).get("image", ""))
    if wish.as_json:
        sys.stdout.write(answering.as_json(answering.answer(image, Outcome((), (), False))) + "\n")
    else:
        sys.stdout.write("in step with {}\n".format(image))
    return DONE


def _print(wish: Wish, plan: Plan, outcome: Outcome, answer: Dict[str, Any]) -> None:
    if wish.as_json:
        sys.stdout.write(answering.as_json(answer) + "\n")
        return
    if wish.options.dry_run:
        sys.stdout.write(answering.text(plan["image"], outcome) + "\n")
        return
    counts = ", ".join(
        "{} {}".format(answer[key], key) for key in ("added", "changed", "deleted", "protected") if answer[key]
    )
    sys.stdout.write("{}: {}\n".format(plan["image"], counts or "nothing to do"))
    for line in outcome.said:
        sys.stdout.write("  {}\n".format(line))
    if outcome.reboot and wish.reboot == "never":
        sys.stdout.write("  reboot for the new kernel\n")


def _site(wish: Wish, state: State, server: Optional[Server], say: Callable[[str], None]) -> Site:
    tell = _Telling(server) if server is not None else _nobody
    return Site(wish.root, state.home, wish.kernel, say, tell, wish.sleep)


def _reboot(wish: Wish, plan: Plan, outcome: Outcome, site: Site) -> None:
    """Only for a kernel that waits for it: nobody's work is interrupted for less."""
    if outcome.reboot and wish.root == "/" and not wish.options.dry_run:
        kernel = next(iter(plan.get("kernels", ())), None)
        systemd, kexec = os.path.isdir("/run/systemd/system"), os.path.exists("/sbin/kexec")
        for argv in trial.restart(wish.reboot, kernel, systemd, kexec):
            run(argv, site.say)


def promote(root: str, kernel: str) -> int:
    """The node is up: the kernel on trial becomes the default, or it is said that it did not start."""
    state = State(root)
    wish = Wish(root, Options(), kernel=kernel)
    with state.locked():
        verdict = trial.promote(_site(wish, state, None, _Log(os.path.join(root, _LOG)).say))
    if verdict.fault:
        raise Failed(verdict.fault, where="kernel")
    return DONE


def _quiet(line: str) -> None:
    """What nobody needs to read."""


def _nobody(phase: str, status: str, message: str) -> None:
    """What nobody needs to be told."""


class _Telling(object):
    """Reports phases to the server, but only those that people wait for: a request for each of a dozen that are over in
    a moment would cost the server more than the update itself."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._timer = threading.Timer(0, _quiet, ("",))
        self._told = ""

    def __call__(self, phase: str, status: str, message: str) -> None:
        if status == "started":
            self._timer = threading.Timer(_PATIENCE, self._tell, (phase, status, message))
            self._timer.daemon = True
            self._timer.start()
            return
        self._timer.cancel()
        self._timer.join()
        if status != "done" or self._told == phase:
            self._tell(phase, status, message)

    def _tell(self, phase: str, status: str, message: str) -> None:
        self._told = phase
        self._server.report(phase, status, message)


class _Log(object):
    """The node's own log of its updates: what was run and what it printed."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            if os.path.getsize(path) > _MOST_LOG:
                os.rename(path, path + ".1")
        except OSError:
            pass

    def say(self, line: str) -> None:
        """One line. A log that cannot be written stops nothing."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            with open(self._path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("{} {}\n".format(stamp, line))
        except OSError:
            pass
