"""Pulling the image's tree with rsync: what to run, how far it is, what its end means, and when to try again."""

import os
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path, PurePosixPath

from attrs import frozen

from imaged.model.errors import CommandFailed
from imaged.model.plan import SyncOverrides, SyncTree
from installer.process import Completed, Processes, ended, tail
from installer.tree import inside

# Seconds before each new attempt. Eight minutes in all: long enough for a server that is being restarted.
PAUSES = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60, 60, 60, 60)
# rsync(1), EXIT VALUES: 10 socket, 12 protocol stream, 24 vanished files, 30 and 35 timeouts; 255 a lost ssh or daemon.
_NETWORK = frozenset({10, 12, 24, 30, 35, 255})
_START = 5  # error starting the protocol: a daemon that died while greeting, or one that says why it refuses


@frozen
class Source:
    """Where images come from, and the node's proof. ``host`` and ``port`` are those of imaged's rsync service."""

    host: str
    port: int
    node: str
    secret: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The secret travels in the environment: an argument would be in every process list and log."""
        return {"RSYNC_PROXY": f"{self.node}:{self.secret}@{self.host}:{self.port}"}


class Verdict(Enum):
    """What the end of an rsync means."""

    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"


def sync_tree(
    step: SyncTree | SyncOverrides,
    root: Path,
    source: Source,
    processes: Processes,
    *,
    progress: Callable[[int], None],
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Transfer until done. Files that arrived whole are not sent again. Raises CommandFailed with rsync's reasons.

    ``progress`` is told every second how many bytes have come; ``say`` what a person in front of the machine should
    know.
    """
    place = root if step.foreign else inside(root, step.at)
    before = used(place)
    command = argv(step, root)
    for pause in (*PAUSES, None):
        done = processes.watch(command, lambda: progress(used(place) - before), env=source.environment)
        outcome, reason = verdict(done.code, done.errors, step.at)
        if outcome is Verdict.DONE:
            return
        if outcome is Verdict.FAILED or pause is None:
            raise failure(done, reason)
        say(f"transfer of {step.at} interrupted ({reason}), again in {pause} s")
        sleep(pause)


def argv(step: SyncTree | SyncOverrides, root: Path) -> tuple[str, ...]:
    """rsync for this step, below the target's ``root``.

    Onto an empty filesystem of our own, deltas only cost time; so do --inplace (a third more, measured) and
    --info=progress2, which writes a line for every file. The server's rsyncd.conf brings the timeout. What belongs on
    a foreign filesystem is picked out of the whole tree: an image that has nothing there is no error, as a missing
    source would be; its files are on the disk before they take their names, and none passes for whole by its size and
    time, should the power have gone in an install before. Overrides may have a file's size and time and other content,
    hence --ignore-times there too; and times that differ within one second are different (rsync(1), --modify-window).
    """
    laid = isinstance(step, SyncOverrides)
    rules = () if isinstance(step, SyncOverrides) else step.rules
    module, again = ("overrides", ("--ignore-times", "--modify-window=-1")) if laid else ("image", ())
    if step.foreign:
        # Rules that take more would take it from outside of what belongs here.
        left_out = [f"--filter={rule}" for rule in rules if rule.startswith("- ")]
        parents = [f"--include={parent}/" for parent in reversed(PurePosixPath(step.at).parents) if parent.name]
        what = ("-rt", "--fsync", "--ignore-times", "--omit-dir-times", "--modify-window=2", *left_out, *parents)
        what = (*what, f"--include={step.at}/***", "--exclude=*")
        source, place = f"rsync://imaged/{module}/", root
    else:
        excluded = (f"--exclude={pattern}" for pattern in step.exclude)
        what = ("-aHAXS", "--numeric-ids", *excluded, *(f"--filter={rule}" for rule in rules))
        source, place = f"rsync://imaged/{module}{step.at.rstrip('/')}/", inside(root, step.at)
    return ("rsync", "--whole-file", *again, *what, source, f"{place}/")


def used(place: Path) -> int:
    """Bytes taken of the filesystem there: how far a copy onto it is, without asking rsync."""
    room = os.statvfs(place)
    return (room.f_blocks - room.f_bfree) * room.f_frsize


def verdict(code: int, errors: str, at: str) -> tuple[Verdict, str]:
    """What to do after rsync ended with ``code`` (negative: a signal) and printed ``errors``; and why, in words."""
    if code == 0:
        return Verdict.DONE, ""
    if "No space left on device" in errors:
        return Verdict.FAILED, f"the filesystem at {at} is full: the image needs more room than the layout gives it"
    refused = re.search(r"bad response from proxy -- HTTP/\d\.\d (\d{3}) ?(.*)", errors)
    if refused:
        reason = f"the server answered {refused[1]} {refused[2]}".strip()
        return (Verdict.AGAIN if refused[1].startswith("5") else Verdict.FAILED), reason
    said = re.search(r"@ERROR: (.*)", errors)
    if said:
        return (Verdict.AGAIN if "max connections" in said[1] else Verdict.FAILED), f"the server says: {said[1]}"
    if code < 0 or code in _NETWORK or code == _START:
        return Verdict.AGAIN, f"rsync {ended(code)}"
    if code == 23:
        return Verdict.FAILED, "some files could not be transferred"
    return Verdict.FAILED, f"rsync {ended(code)}"


def failure(done: Completed, reason: str) -> CommandFailed:
    """The error that a person sees, with the last lines that rsync printed."""
    return CommandFailed(reason, where="rsync", hint="\n  ".join(tail(done.errors)))
