"""The agent of the transfer bench: takes the place of ``installer/__main__.py`` in a ramdisk of the bench's own.

Claims, asks for the plan and prepares the disk as an install does; then copies the image in turn by the agent's own
transfer step and by plain rsync, each onto a filesystem that was made anew, and prints the seconds of each.
"""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from attrs import evolve
from installer.bench_settings import PAIRS, PEER

from imaged.model.plan import InstallPlan, MakeFilesystem, Phase, SyncTree, Unmount
from installer import cmdline, udev
from installer.__main__ import own_secret
from installer.console import Console, uptime
from installer.execute import Target, actions, execute
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.server import Server
from installer.transfer import Source

ROOT = Path("/target")


def main() -> None:
    """Everything; afterwards the machine waits to be switched off."""
    console = Console.everywhere()
    orders = cmdline.read(Path("/proc/cmdline").read_text())
    server = Server(orders.server, own_secret(), console.say)
    claimed = server.claim(orders.token)
    reporter, processes = Reporter(server, console, Journal(), uptime), Processes(lambda line: None)
    plan = server.plan(udev.take(orders.boot_mac)).plan
    table = actions(
        Target(ROOT, Source(orders.host, claimed.rsync_port, claimed.node, server.secret)), processes, reporter, plan
    )

    def carry_out(*phases: Phase) -> None:
        execute(evolve(plan, phases=phases), table, reporter, lambda name: None)

    ROOT.mkdir(exist_ok=True)
    named = {phase.name: phase for phase in plan.phases}
    carry_out(named["wipe"], named["partition"], named["mkfs"], named["mount"])
    mkfs = next(step for step in named["mkfs"].steps if isinstance(step, MakeFilesystem) and step.fs.value == "ext4")
    anew = (Phase("unmount", (Unmount(),)), Phase("mkfs", (mkfs,)), named["mount"])
    peer = ("rsync", "-aHAXS", "--numeric-ids", f"rsync://{PEER}/image/", f"{ROOT}/")
    for _ in range(PAIRS):
        for name, copy in (
            ("ours", lambda: carry_out(Phase("transfer", (tree_of(plan),)))),
            ("peer", lambda: processes.run(peer)),
        ):
            carry_out(*anew)
            Path("/proc/sys/vm/drop_caches").write_text("3")
            print(f"bench: {name} {seconds(copy):.2f}", flush=True)
    print("bench: done", flush=True)
    sys.stdout.flush()
    signal.pause()


def tree_of(plan: InstallPlan) -> SyncTree:
    """The step that copies the image itself."""
    return next(step for phase in plan.phases for step in phase.steps if isinstance(step, SyncTree))


def seconds(copy: Callable[[], object]) -> float:
    """By the guest's monotonic clock."""
    began = time.monotonic()
    copy()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
