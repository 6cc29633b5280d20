"""The agent of the transfer bench: takes the place of ``installer/__main__.py`` in a ramdisk of the bench's own.

Claims, asks for the plan and prepares the disk as an install does. Then it copies the image in turn by the agent's own
transfer step and by plain rsync, each onto a root made anew, until the machine is switched off. The figures go to the
node's log, as lines ``bench: ours|peer SECONDS s, INODES inodes``.
"""

import os
import secrets
import sys
import time
from pathlib import Path

from attrs import evolve

from imaged.model.plan import InstallPlan, MakeFilesystem, Mount, Phase, SyncTree, Unmount
from installer import cmdline, udev
from installer.console import Console, uptime
from installer.crypts import Keys
from installer.execute import Target, actions, execute
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.server import Server
from installer.transfer import Source

ROOT = Path("/target")
PEER_PORT = 8730  # of the bare rsync daemon, as in bench/transfer.py


def main() -> int:
    """Ends only when something failed; the reason is in the node's log and on the screen."""
    console = Console.everywhere()
    orders = cmdline.read(Path("/proc/cmdline").read_text())
    server = Server(orders.server, secrets.token_urlsafe(32), console.say)
    claimed = server.claim(orders.token)
    reporter = Reporter(server, console, Journal(), uptime)
    source = Source(orders.host, claimed.rsync_port, claimed.node, server.secret)
    target = Target(ROOT, source, Keys(server.key))
    peer = ("rsync", "-aHAXS", "--numeric-ids", f"rsync://{orders.host}:{PEER_PORT}/image/", f"{ROOT}/")
    try:
        repeat(server.plan(udev.take(orders.boot_mac)).plan, target, peer, reporter)
    except Exception as error:  # whatever it is, the host is waiting for figures and must hear that none will come
        reporter.failed(f"{type(error).__name__}: {error}")
    return 1


def repeat(plan: InstallPlan, target: Target, peer: tuple[str, ...], reporter: Reporter) -> None:
    """Ours, peer, ours, peer, ... Raises ImagedError at the first thing that fails."""
    processes = Processes(reporter.journal.add)
    table = actions(target, processes, reporter, plan)

    def carry_out(*phases: Phase) -> None:
        execute(evolve(plan, phases=phases), table, reporter, lambda phase: None)

    steps = [step for phase in plan.phases for step in phase.steps]
    mount = next(step for step in steps if isinstance(step, Mount) and step.at == "/")
    mkfs = next(step for step in steps if isinstance(step, MakeFilesystem) and step.device == mount.device)
    # The whole tree onto the root alone: plain rsync would fail to set owners on an ESP, which an install fills apart.
    sync = evolve(next(step for step in steps if isinstance(step, SyncTree) and step.at == "/"), exclude=())
    ROOT.mkdir(exist_ok=True)
    carry_out(*(phase for phase in plan.phases if phase.name in ("wipe", "partition")))
    while True:
        for name in ("ours", "peer"):
            carry_out(Phase("mkfs", (mkfs,)), Phase("mount", (mount,)))
            Path("/proc/sys/vm/drop_caches").write_text("3")
            began = time.monotonic()
            if name == "ours":
                carry_out(Phase("transfer", (sync,)))
            else:
                processes.run(peer)
            seconds = time.monotonic() - began
            room = os.statvfs(ROOT)
            reporter.journal.add(f"bench: {name} {seconds:.2f} s, {room.f_files - room.f_ffree} inodes")
            carry_out(Phase("unmount", (Unmount(),)))


if __name__ == "__main__":
    sys.exit(main())
