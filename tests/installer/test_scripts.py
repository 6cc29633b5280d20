"""The site's scripts, run by the agent's own functions: in the ramdisk's place, and in a chroot of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.codec import to_json
from imaged.model.errors import BadInput, CommandFailed, ImagedError
from imaged.model.plan import InstallPlan, Phase, RunScript
from installer.process import Processes
from installer.scripts import NOTES, noted, run_script
from tests.installer.test_chroot import needs_root, root

__all__ = ["root"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# nothing\n\nA=1\nexport B='two words' # said\n", {"A": "1", "B": "two words"}),
        ('A="x=y"\nA=2\nEMPTY=\n', {"A": "2", "EMPTY": ""}),
        ("A=1 B=2\n", {"A": "1", "B": "2"}),
    ],
)
def test_what_a_script_hands_on(text: str, expected: dict[str, str]) -> None:
    assert noted(text, "notes") == expected


@pytest.mark.parametrize("line", ["A", "1A=x", "A-B=x", "echo hello", "A='open", "=x", "Ä=x"])
def test_what_is_no_assignment_is_named(line: str) -> None:
    with pytest.raises(BadInput) as raised:
        noted(f"GOOD=1\n{line}\n", "notes")
    assert raised.value.where == "notes, line 2"


class Ramdisk:
    """Where pre-install scripts run. ``log`` gets what the agent would send to the server."""

    def __init__(self, place: Path) -> None:
        self.home = place / "run"
        self.notes = self.home / NOTES
        self.old_notes = place / "old" / NOTES
        self.old_notes.parent.mkdir()
        self.log: list[str] = []

    def run(self, step: RunScript) -> None:
        run_script(
            step, Path("/nowhere"), Processes(self.log.append).run, self.home, (self.notes, self.old_notes)
        )  # fmt: skip


@pytest.fixture
def ramdisk(tmp_path: Path) -> Ramdisk:
    return Ramdisk(tmp_path)


def script(body: str, **variables: str) -> RunScript:
    return RunScript("10all.x", f"#!/bin/sh\n{body}\n", variables)


def test_a_script_sees_its_variables_and_what_it_says_is_logged(ramdisk: Ramdisk) -> None:
    ramdisk.run(script('echo "$HOSTNAME of $GROUPNAMES"; echo aside >&2; ls -l "$0"', HOSTNAME="n1", GROUPNAMES="a b"))
    assert {"  n1 of a b", "  aside"} <= set(ramdisk.log)
    assert any("-rwx------" in line for line in ramdisk.log), "there may be secrets in it"
    assert not list((ramdisk.home / "scripts").iterdir()), "and it does not stay"


def test_variables_are_handed_on_to_the_scripts_after(ramdisk: Ramdisk) -> None:
    ramdisk.run(script('echo "SLOT=\'7 left\'" >> "$IMAGED_VARIABLES"'))
    ramdisk.run(script(f'echo RACK=b >> "{ramdisk.old_notes}"'))
    ramdisk.run(script('echo "in $SLOT of $RACK"'))
    assert "  in 7 left of b" in ramdisk.log


@pytest.mark.parametrize("name", ["HOSTNAME", "IMAGED_NODE", "IMAGED_ANYTHING", "DISK7"])
def test_what_the_plan_was_made_from_cannot_be_changed(ramdisk: Ramdisk, name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} is the plan's") as raised:
        ramdisk.run(script(f'echo {name}=other > "$IMAGED_VARIABLES"', HOSTNAME="n1"))
    assert raised.value.where == str(ramdisk.notes)


def test_a_script_that_fails_says_its_last_lines(ramdisk: Ramdisk) -> None:
    with pytest.raises(CommandFailed) as raised:
        ramdisk.run(script("for n in $(seq 40); do echo line $n; done; exit 3"))
    assert raised.value.what == "ended with 3"
    assert raised.value.hint.split("\n  ") == [f"line {n}" for n in range(26, 41)]
    assert not list((ramdisk.home / "scripts").iterdir())


def test_a_script_that_hangs_is_ended(ramdisk: Ramdisk) -> None:
    with pytest.raises(CommandFailed, match="gave up after 1 s"):
        ramdisk.run(evolve(script("sleep 600"), timeout=1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("#!/usr/bin/no-such-program\n", "/usr/bin/no-such-program, which is to run it, is not in the boot ramdisk"),
        ("echo\n", "names no program"),
        ("#!\n", "names no program"),
        ("#!perl\n", "names no program"),
        ("", "names no program"),
    ],
)
def test_nobody_runs_what_has_no_interpreter(ramdisk: Ramdisk, content: str, said: str) -> None:
    with pytest.raises(ImagedError) as raised:
        ramdisk.run(RunScript("10all.x", content))
    assert said in str(raised.value)


# The agent's own table of steps, in a mount namespace that goes with the test. /run is fresh, as a ramdisk's is.
_INSIDE = """
import io, json, subprocess, sys
from pathlib import Path
from imaged.model.codec import from_json
from imaged.model.errors import ImagedError
from imaged.model.plan import InstallPlan
from installer.console import Console
from installer.crypts import Keys
from installer.execute import Target, actions, execute
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.transfer import Source
subprocess.run(("mount", "-t", "tmpfs", "tmpfs", "/run"), check=True)
root, plan, seen, log = Path(sys.argv[1]), from_json(sys.stdin.read(), InstallPlan), [], []
class Server:
    def report(self, report):
        seen.append(f"{report.phase} {report.status.value} {report.message}".strip())
    def log(self, text):
        log.extend(text.splitlines())
    def console(self, text):
        pass
reporter = Reporter(Server(), Console((io.StringIO(),), lambda: 0.0), Journal(), lambda: 0.0)
target = Target(root, Source("h", 1, "n"), Keys(str))
table = actions(target, Processes(reporter.journal.add), reporter, plan)
try:
    execute(plan, table, reporter, lambda _: None)
except ImagedError as error:
    reporter.failed(str(error))
left = [line.split()[4] for line in open("/proc/self/mountinfo") if str(root) in line]
print(json.dumps({"seen": seen, "log": log, "left": left, "kept": [str(p) for p in Path("/run/imaged").rglob("*")]}))
"""


def install(root: Path, *steps: RunScript) -> dict[str, list[str]]:
    """Each step in its phase, as a plan has them; what the server was told."""
    phases = (
        Phase("pre-install", tuple(step for step in steps if not step.in_target)),
        Phase("wipe", ()),
        Phase("post-install", tuple(step for step in steps if step.in_target)),
        Phase("bootloader", ()),
    )
    done = subprocess.run(
        ("unshare", "--mount", "--propagation", "private", sys.executable, "-c", _INSIDE, root),
        input=to_json(InstallPlan("n1", "i@1", "l", phases)), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


@needs_root
def test_from_before_the_disks_to_the_nodes_own_tree(root: Path) -> None:
    (root / "tmp").mkdir()
    before = script("echo SLOT=7 >> $IMAGED_VARIABLES", HOSTNAME="n1")
    after = RunScript(
        "10all.y",
        "#!/bin/sh\necho $HOSTNAME $SLOT $DEBIAN_FRONTEND > /etc/seen\n"
        ". /tmp/post-install/variables.txt\necho $IMAGESERVER $SLOT > /etc/sourced\n",
        {"HOSTNAME": "n1", "IMAGESERVER": "10.0.0.1"},
        in_target=True,
    )
    told = install(root, before, after)
    assert told["seen"] == [f"{phase} {status}" for phase in ("pre-install", "wipe", "post-install", "bootloader")
                            for status in ("started", "done")]  # fmt: skip
    assert (root / "etc/seen").read_text() == "n1 7 noninteractive\n"
    assert (root / "etc/sourced").read_text() == "10.0.0.1 7\n"
    assert list((root / "tmp").iterdir()) == [], "nothing of ours stays in the tree"
    assert (told["left"], [path for path in told["kept"] if "10all" in path]) == ([], [])
    assert not any("DEBIAN_FRONTEND" in line for line in told["log"]), "what is in a script is not logged"


@needs_root
def test_a_pre_install_script_that_fails_ends_it_before_the_disks(root: Path) -> None:
    told = install(root, script("echo not today >&2; exit 7"))
    assert told["seen"] == [
        "pre-install started",
        "pre-install failed run pre-install script 10all.x: ended with 7\n  not today",
    ]


@needs_root
def test_a_post_install_script_that_fails_ends_it_before_the_boot_loader(root: Path) -> None:
    told = install(root, evolve(script("echo broken; exit 1"), in_target=True))
    assert told["seen"][-2:] == [
        "post-install started",
        "post-install failed run post-install script 10all.x: ended with 1\n  broken",
    ]
    assert told["left"] == []


@needs_root
def test_an_image_without_the_interpreter_is_told_so(root: Path) -> None:
    told = install(root, RunScript("10all.x", "#!/usr/bin/perl\n", in_target=True))
    assert told["seen"][-1] == (
        "post-install failed run post-install script 10all.x: /usr/bin/perl, which is to run it, is not in the image"
    )
