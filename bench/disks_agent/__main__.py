"""The agent of the disk bench: takes the place of ``installer/__main__.py`` in a ramdisk of the bench's own.

Claims, asks for the plan, then prepares the disk in turn by the agent's own steps and by a shell script of the same
commands, until the machine is switched off: wipe, table, filesystems, mounts. Figures go to the node's log, as lines
``bench: ours|peer SECONDS s, MOUNTS mounts``.
"""

import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path

from attrs import evolve

from imaged.model.hardware import partition_path
from imaged.model.plan import InstallPlan, MakeTable, Phase, Unmount
from installer import cmdline, udev
from installer.console import Console, uptime
from installer.crypts import Keys
from installer.execute import Target, actions, execute
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.server import Server
from installer.transfer import Source

ROOT = Path("/target")
PHASES = ("wipe", "partition", "mkfs", "mount")
SCRIPT = Path("/run/disks.sh")


def main() -> int:
    """Ends only when something failed; the reason is in the node's log and on the screen."""
    console = Console.everywhere()
    orders = cmdline.read(Path("/proc/cmdline").read_text())
    server = Server(orders.server, secrets.token_urlsafe(32), console.say)
    claimed = server.claim(orders.token)
    reporter = Reporter(server, console, Journal(), uptime)
    target = Target(ROOT, Source(orders.host, claimed.rsync_port, claimed.node, server.secret), Keys(server.key))
    try:
        repeat(server.plan(udev.take(orders.boot_mac)).plan, target, reporter)
    except Exception as error:  # whatever it is, the host is waiting for figures and must hear that none will come
        reporter.failed(f"{type(error).__name__}: {error}")
    return 1


def repeat(plan: InstallPlan, target: Target, reporter: Reporter) -> None:
    """Ours, peer, ours, peer, ... Raises ImagedError at the first thing that fails."""
    ran: list[str] = []

    def log(line: str) -> None:
        reporter.journal.add(line)
        ran.append(line)

    table = actions(target, Processes(log), reporter, plan)

    def carry_out(*phases: Phase) -> None:
        execute(evolve(plan, phases=phases), table, reporter, lambda phase: None)

    ROOT.mkdir(exist_ok=True)
    mine = tuple(phase for phase in plan.phases if phase.name in PHASES)
    while True:
        for name in ("ours", "peer"):
            ran.clear()
            began = time.monotonic()
            if name == "ours":
                carry_out(*mine)
            else:
                subprocess.run(("sh", "-e", SCRIPT), check=True)
            seconds = time.monotonic() - began
            mounts = sum(f" {ROOT}" in line for line in Path("/proc/mounts").read_text().splitlines())
            if name == "ours":
                SCRIPT.write_text(script(plan, ran))
            reporter.journal.add(f"bench: {name} {seconds:.2f} s, {mounts} mounts")
            carry_out(Phase("unmount", (Unmount(),)))


def script(plan: InstallPlan, ran: list[str]) -> str:
    """What an administrator would write for this disk. Filesystems and mounts by the very commands that ours ran."""
    step = next(step for phase in plan.phases for step in phase.steps if isinstance(step, MakeTable))
    disk, sector = step.disk.path, step.disk.logical_sector
    rows = "".join(f"start={each.start // sector}, size={each.size // sector}\n" for each in step.partitions)
    old = " ".join(partition_path(disk, each.number) for each in step.partitions)
    words = [shlex.split(line.removeprefix("+ ")) for line in ran if line.startswith("+ ")]
    plain = [each[2:] if each[0] == "env" else each for each in words]  # mke2fs.conf of the image, gone by now
    made = [shlex.join(each) for each in plain if each[0].startswith(("mk", "mount"))]
    return "\n".join((
        f"wipefs --all --force {old} {disk}", "udevadm settle",
        f"sfdisk --quiet --wipe always --wipe-partitions always {disk} <<EOF\nlabel: {step.label.value}\n{rows}EOF",
        "udevadm settle", *made, "",
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
