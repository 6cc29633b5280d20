"""Captures a golden client: by ssh with nothing there but rsync and a shell, or from its rsync daemon. Thin I/O."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.model.capture import Golden, GoldenFacts
from imaged.model.errors import BadInput, CommandFailed, Denied, ImagedError, NotFound, Unreachable
from imaged.origins import hard_links
from imaged.planning import capture_probe
from imaged.planning.capture import CapturePlan
from imaged.planning.capture_rsync import (
    Change,
    Verdict,
    change,
    compare_argv,
    done_argv,
    facts_argv,
    hiding,
    is_trouble,
    links_argv,
    probe_argv,
    ssh_argv,
    stat,
    transfer_argv,
    verdict,
)
from imaged.store.tree import Tree
from imaged.store.working import Working

_PASSES = 3  # transfers of a client that does not hold still; each moves only what changed since the one before
_BASES = 6  # what interrupted passes left; the first and the last ones
_SHOWN = 8  # lines of trouble in an error
_SSH_HINTS = {
    "resolve hostname": "Is the name spelled right?",
    "Connection refused": "Does sshd run there? See --ssh-port.",
    "HOST IDENTIFICATION HAS CHANGED": "Compare its host key. If it was installed anew: ssh-keygen -R HOST.",
    "Host key verification failed": "Log in once by hand (ssh) and compare its host key; see also --ssh-option.",
    "Permission denied": "Let your key log in there (ssh-copy-id), or see --ssh-user and --ssh-option.",
    "timed out": "Is it up, and does a firewall let ssh pass?",
    "No route": "Is it up, and on a network that this server reaches?",
}
_RERUN = "Nothing was published. Run the same command again: it goes on from here."


@frozen
class Compared:
    """``changes`` are what a capture would move; ``hidden`` what it leaves out, with the pattern that says so."""

    changes: tuple[Change, ...]
    hidden: tuple[tuple[str, str], ...] = ()
    stats: dict[str, int] = {}


@frozen
class Captured:
    """``files`` and ``received`` bytes were moved in all passes; ``changing`` was different still at the end."""

    changing: tuple[Change, ...]
    files: int
    received: int


@frozen
class Watch:
    """Who is told how far a capture is: a phase begins, one more path was moved."""

    phase: Callable[[str], None]
    moved: Callable[[Change], None]


@frozen
class Client:
    """A golden client that can be asked. ``scratch`` holds ssh's shared connection; ``note`` gets lines for the log."""

    golden: Golden
    scratch: Path
    note: Callable[[str], None]

    @property
    def control(self) -> str:
        """Empty for a daemon. ssh puts a hash for ``%C``: socket paths hold 107 bytes (unix(7))."""
        return "" if self.golden.daemon else f"{self.scratch}/%C"

    def facts(self) -> GoldenFacts:
        """Probe it. Raises Unreachable, Denied or NotFound, each saying what to do."""
        if self.golden.daemon:
            return self._facts_of_daemon()
        argv = probe_argv(self.golden, self.control)
        self.note(f"+ {' '.join(argv)}")
        done = process.run(argv, stdin=capture_probe.PROBE, check=False, errors="surrogateescape")
        self.note(done.output.encode("utf-8", "replace").decode() + done.errors)
        if done.code:
            raise self._refused(done)
        facts = capture_probe.parse(done.output)
        if not facts.rsync:
            raise NotFound("rsync is not installed there", where=str(self.golden), hint="Install its package rsync.")
        if facts.uid != 0:
            hint = "Give --ssh-user root, or --sudo where that user may use sudo without a password."
            raise Denied("only root can read every file there", where=str(self.golden), hint=hint)
        return facts

    def _facts_of_daemon(self) -> GoldenFacts:
        into = self.scratch / "probe"
        lines: list[str] = []
        code = process.stream(facts_argv(self.golden, str(into)), lines.append, check=False)
        if code:
            hint = "Run there what `imaged prepareclient` prints; it must name this server's address."
            raise Unreachable("\n  ".join(lines[:_SHOWN]) or "no answer", where=str(self.golden), hint=hint)
        return capture_probe.parse(into.read_bytes().decode("utf-8", "surrogateescape"))

    def _refused(self, done: process.Completed) -> ImagedError:
        said = "\n  ".join(done.errors.strip().splitlines()[-_SHOWN:])
        if done.code == 255:  # ssh's own
            return Unreachable(said or "ssh ended", where=str(self.golden), hint=_ssh_hint(done.errors))
        if self.golden.sudo and "sudo" in said:
            hint = "Let that user run `sudo sh` and `sudo rsync` without a password (NOPASSWD in sudoers(5))."
            return Denied(said, where=str(self.golden), hint=hint)
        return CommandFailed(said or f"the probe ended with {done.code}", where=str(self.golden))

    def compare(self, plan: CapturePlan, against: Path, *, hidden: bool = False) -> Compared:
        """What is different there from the tree ``against``. Raises as ``capture`` does."""
        argv = compare_argv(
            self.golden, plan, control=self.control, rules=self._rules(plan), against=str(against), hidden=hidden
        )
        changes: list[Change] = []
        left: list[tuple[str, str]] = []
        stats: dict[str, int] = {}

        def hear(line: str) -> None:
            found = change(line)
            if found:
                changes.append(found)
            elif gone := hiding(line):
                left.append(gone)
            elif counted := stat(line):
                stats[counted[0]] = counted[1]

        self._rsync(argv, hear)
        return Compared(tuple(changes), tuple(left), stats)

    def capture(self, plan: CapturePlan, working: Working, last: Path | None, watch: Watch) -> Captured:
        """Fill the working tree; ``last`` is the tree of the image's last version.

        Raises Unreachable when the connection breaks, CommandFailed for files that cannot be read and for a full disk:
        the tree stays for the next run.
        """
        differences: tuple[Change, ...] = ()
        totals: Counter[str] = Counter()
        for number in range(1, _PASSES + 1):
            watch.phase("transfer" if number == 1 else "transfer again")
            _set_aside(working)
            missing = self._pass(plan, working, last, watch, totals)
            watch.phase("compare")
            self._part_links(working)
            differences = self.compare(plan, working.tree).changes
            self.note(f"pass {number}: {len(differences)} paths are different already")
            if not missing and not differences:
                break
            if missing and number == _PASSES:
                raise CommandFailed(
                    "\n  ".join(missing[:_SHOWN]),
                    where=str(self.golden),
                    hint=f"Stop what writes there, or leave it out with --exclude. {_RERUN}",
                )
            for each in differences:
                self.note(f"changed while captured: {each.flags} {each.path}")
        for path in (*_bases(working), working.directory / "partial", working.directory / "links"):
            process.run(("rm", "-rf", "--", str(path)))
        return Captured(differences, totals["Number of regular files transferred"], totals["Total bytes received"])

    def _pass(
        self, plan: CapturePlan, working: Working, last: Path | None, watch: Watch, totals: Counter[str]
    ) -> tuple[str, ...]:
        """One transfer, its figures added to ``totals``. What rsync could not get, in its words."""
        bases = [str(path / "tree") for path in reversed(_bases(working))] + ([str(last)] if last else [])
        argv = transfer_argv(
            self.golden, plan, control=self.control, rules=self._rules(plan), into=str(working.tree), bases=bases,
            partial=str(working.directory / "partial"),
        )  # fmt: skip

        def hear(line: str) -> None:
            if found := change(line):
                watch.moved(found)
            elif counted := stat(line):
                totals[counted[0]] += counted[1]

        return self._rsync(argv, hear)

    def _part_links(self, working: Working) -> None:
        """Names that are one file here must be one there as well: see ``hard_links``."""
        found = hard_links.groups(working.tree)
        if not found:
            return
        names, truth = self.scratch / "names", working.directory / "links"
        names.write_bytes(b"".join(name + b"\0" for group in found for name in group))
        process.run(("rm", "-rf", "--", str(truth)))
        truth.mkdir(mode=0o700)
        argv = links_argv(self.golden, control=self.control, names=str(names), into=str(truth), like=str(working.tree))
        self._rsync(argv, lambda _: None)
        self.note(f"{hard_links.part(working.tree, truth, found)} files were one in the last version and are not now")
        process.run(("rm", "-rf", "--", str(truth)))

    def _rsync(self, argv: tuple[str, ...], hear: Callable[[str], None]) -> tuple[str, ...]:
        """Run rsync to its end. Complaints about single files are returned; anything else raises."""
        trouble: list[str] = []

        def on_line(line: str) -> None:
            self.note(line)
            hear(line)
            if is_trouble(line):
                trouble.append(line)

        self.note(f"+ {' '.join(argv)}")
        code = process.stream(argv, on_line, check=False)
        said = "\n  ".join(trouble[:_SHOWN])
        match verdict(code, "\n".join(trouble)):
            case Verdict.WHOLE | Verdict.MOVING:
                return ()
            case Verdict.PARTIAL:
                return tuple(line for line in trouble if not line.startswith("rsync error: "))
            case Verdict.LOCAL:
                hint = f"Make room on this server. {_RERUN}"
                raise CommandFailed(said or f"rsync ended with {code}", where="this server", hint=hint)
            case Verdict.REFUSED:
                raise CommandFailed(said or f"rsync ended with {code}", where=str(self.golden), hint=_RERUN)
        what = "the connection to the golden client broke" + (f"\n  {said}" if said else f" (rsync: {code})")
        raise Unreachable(what, where=str(self.golden), hint=_RERUN)

    def _rules(self, plan: CapturePlan) -> str:
        """NUL after each rule: names may hold newlines."""
        path = self.scratch / "rules"
        path.write_bytes(b"".join(rule.encode("utf-8", "surrogateescape") + b"\0" for rule in plan.rules))
        return str(path)

    def end(self) -> None:
        """Nothing more will be asked: a daemon of ``imaged prepareclient`` ends, ssh's shared connection too."""
        if self.golden.daemon:
            process.run(done_argv(self.golden), check=False, timeout=60)
        elif any(self.scratch.glob("????????????????????*")):
            process.run((*ssh_argv(self.golden, self.control), "-Oexit", "--", self.golden.host), check=False)


def _ssh_hint(said: str) -> str:
    return next((hint for words, hint in _SSH_HINTS.items() if words in said), "Try `ssh` to it by hand.")


@contextmanager
def reach(golden: Golden, note: Callable[[str], None]) -> Iterator[Client]:
    """A client to ask; ssh connects at the first question."""
    if golden.host.startswith("-") or not golden.host or any(sign in golden.host for sign in " /\n\0"):
        raise BadInput(f"{golden.host!r} is not a host", hint="Write a name or an address.")
    with tempfile.TemporaryDirectory(prefix="imaged-") as scratch:
        client = Client(golden, Path(scratch), note)
        try:
            yield client
        finally:
            if not golden.daemon:
                client.end()


def finish(tree: Tree) -> None:
    """An empty /etc/machine-id where systemd is and none was captured: missing means "first boot" (machine-id(5)).

    It bears its directory's time, and that stays: two captures of one client are equal.
    """
    at = tree.locate("/etc/machine-id", follow=False)
    systemd = tree.exists("/usr/lib/systemd/systemd") or tree.exists("/lib/systemd/systemd")
    if at is None or not systemd or at.exists() or at.is_symlink() or not at.parent.is_dir():
        return
    before = at.parent.stat()
    at.touch(0o444)
    at.chmod(0o444)
    for path in (at, at.parent):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _bases(working: Working) -> list[Path]:
    """What earlier passes left, oldest first."""
    return sorted(working.directory.glob("basis.[0-9]*"), key=lambda path: int(path.suffix[1:]))


def _set_aside(working: Working) -> None:
    """A pass begins with an empty tree; what was there is what it links to."""
    bases = _bases(working)
    if any(working.tree.iterdir()):
        number = int(bases[-1].suffix[1:]) + 1 if bases else 1
        aside = working.directory / f"basis.{number}"
        aside.mkdir(mode=0o700)
        working.tree.rename(aside / "tree")
        working.tree.mkdir(mode=0o755)
        bases.append(aside)
    for path in bases[1 : -(_BASES - 1)] if len(bases) > _BASES else []:
        process.run(("rm", "-rf", "--", str(path)))
