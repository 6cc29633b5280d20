"""In the guest: carries scenarios out with the agent's own code and says what came of each, one JSON line per thing.

A scenario is plain steps; what a real plan has from its inventory, the disks, is put in here.
"""

import json
import sys
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from imaged.model.codec import from_json, to_plain
from imaged.model.errors import ImagedError
from imaged.model.hardware import Inventory
from imaged.model.plan import InstallPlan, MakeTable, StartGroup, Step, WipeDisk
from installer import storage
from installer.console import Console, uptime
from installer.crypts import Keys
from installer.execute import Target, actions, carry_out
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.transfer import Source

ROOT = Path("/target")
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@frozen
class Scenario:
    """``before`` and ``after`` are programs whose output is told; ``fails`` is what a step is expected to say."""

    name: str
    steps: tuple[Step, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    inventory: bool = False
    fails: str = ""


@frozen
class Scenarios:
    """All of a boot."""

    all: tuple[Scenario, ...]


def main() -> int:
    """Every scenario in turn; the first that does not go as expected ends it."""
    scenarios = from_json(Path(sys.argv[1]).read_bytes(), Scenarios).all
    ROOT.mkdir(exist_ok=True)
    log: list[str] = []
    processes = Processes(lambda line: log.append(f"{uptime():.1f} {line}"))
    reporter = Reporter(None, Console((), uptime), Journal(), uptime)  # type: ignore[arg-type]  # never asked
    table = actions(
        Target(ROOT, Source("", 0, ""), Keys(lambda _: KEY)), processes, reporter, InstallPlan("n", "i@1", "l", ())
    )
    inventory = storage.take(None, processes.run)
    for scenario in scenarios:
        log.clear()
        begun = uptime()
        try:
            if scenario.inventory:
                inventory = storage.take(None, processes.run)
                tell(scenario, "inventory", to_plain(inventory))
            look(scenario, "before", scenario.before, processes)
            for step in scenario.steps:
                carry_out(completed(step, inventory), table, reporter)
            error = ""
        except ImagedError as fault:
            error = str(fault)
        except Exception as fault:  # a fault of ours is a result too
            error = repr(fault)
        tell(scenario, "error", error)
        if (error and not scenario.fails) or scenario.fails not in error or bool(scenario.fails) != bool(error):
            tell(scenario, "log", log)
            return 1
        tell(scenario, "leaks", KEY in "\n".join(log))
        look(scenario, "after", scenario.after, processes)
        tell(scenario, "seconds", round(uptime() - begun, 1))
        tell(scenario, "commands", [line for line in log if " + " in line[:12]])
    sys.stdout.write("end\n")
    return 0


def completed(step: Step, inventory: Inventory) -> Step:
    """The step as a plan from this inventory would have it."""
    if isinstance(step, WipeDisk | MakeTable):
        return evolve(step, disk=next(disk for disk in inventory.disks if disk.path == step.disk.path))
    if isinstance(step, StartGroup):
        return evolve(step, uuid=next(group.uuid for group in inventory.groups if group.name == step.group))
    return step


def look(scenario: Scenario, when: str, programs: tuple[tuple[str, ...], ...], processes: Processes) -> None:
    """Run them whatever they say, and tell it."""
    for argv in programs:
        done = processes.run(argv, check=False)
        tell(scenario, when, {"argv": " ".join(argv), "code": done.code, "output": done.output, "errors": done.errors})


def tell(scenario: Scenario, what: str, value: Any) -> None:
    """A line for the host."""
    sys.stdout.write(json.dumps([scenario.name, what, value]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
