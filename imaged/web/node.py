"""A node's pages: how it does, what it is, its hardware, its plan, its history, its log. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from imaged.model.hardware import Disk, Inventory, Nic
from imaged.model.life import Life
from imaged.model.node import BootAction, Node, NodeState
from imaged.model.outcome import Drift, Updated
from imaged.model.report import Report, Status
from imaged.model.size import format_size
from imaged.planning.course import INSTALL, UPDATE, Course
from imaged.web import words
from imaged.web.overview import Line, line
from imaged.web.sheet import Block, Row

TABS: Final = (
    ("", "Summary"), ("hardware", "Hardware"), ("plan", "Plan"), ("history", "History"), ("log", "Log"),
)  # fmt: skip
_MARKS: Final = {Status.STARTED: "running", Status.PROGRESS: "running", Status.DONE: "done", Status.FAILED: "failed"}
_DRIFT: Final = 100  # paths that are listed


@frozen
class Phase:
    """A phase of an install or update. ``mark``: done, running, failed, or empty before it."""

    name: str
    mark: str = ""
    took: str = ""
    began: int | None = None
    percent: int | None = None
    message: str = ""


@frozen
class Pair:
    """A line of a table of facts. ``href`` is where it is explained, ``at`` a time instead of text."""

    key: str
    text: str = ""
    href: str = ""
    at: int | None = None


@frozen
class Happening:
    """An event: each difference is what, from what, to what."""

    id: int
    at: int
    who: str
    what: str
    subject: str
    differences: tuple[tuple[str, str, str], ...]


@frozen
class Frame:
    """What all pages of a node have at the top. ``tab`` is the one that is shown."""

    name: str
    tab: str
    line: Block
    leaves: bool

    @property
    def tabs(self) -> tuple[tuple[str, str, bool], ...]:
        """Where each leads, its title, and whether it is the one."""
        return tuple((f"/nodes/{self.name}/{key}".rstrip("/"), title, key == self.tab) for key, title in TABS)


@frozen
class Summary:
    """How the node does, and what it is."""

    frame: Frame
    phases: Block
    facts: Block
    definition: tuple[Pair, ...]
    drift: tuple[tuple[str, str, str], ...]
    drifted: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.frame.line, self.phases, self.facts)


@frozen
class Hardware:
    """As the agent last found it; ``known`` is False where it never did."""

    frame: Frame
    known: bool
    facts: tuple[Pair, ...] = ()
    disks: tuple[tuple[str, ...], ...] = ()
    nics: tuple[tuple[str, ...], ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.frame.line,)


@frozen
class Plan:
    """What an install would do: as text with its hash, or why there is none."""

    frame: Frame
    text: str = ""
    hash: str = ""
    problem: str = ""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.frame.line,)


@frozen
class History:
    """The latest events of the node, the last one first."""

    frame: Frame
    events: Block

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.frame.line, self.events)


@frozen
class Log:
    """The end of the node's log."""

    frame: Frame
    text: Block

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.frame.line, self.text)


def frame(life: Life, course: Course, tab: str) -> Frame:
    """``leaves``: its next network boot is not from its own disk."""
    shown: Line = line(life, course)
    return Frame(life.node, tab, Block("node", "node.line", shown), life.action is not BootAction.LOCAL)


def summary(
    frame: Frame, node: Node, life: Life, facts: Mapping[str, Any], reports: Sequence[tuple[float, Report]],
    *, meant: str, groups: Sequence[str], updated: Updated | None, drift: Drift | None,
) -> Summary:  # fmt: skip
    """``meant``: the version that its image means now; empty where nobody can tell. ``facts`` as the store has them."""
    return Summary(
        frame,
        Block("phases", "node.phases", phases(reports, life)),
        Block("facts", "node.facts", _facts(node, life, facts, meant, updated, drift)),
        _definition(node, groups),
        tuple((each.path, each.owner.value, each.what) for each in drift.differences[:_DRIFT]) if drift else (),
        drift.count if drift else 0,
    )


def phases(reports: Sequence[tuple[float, Report]], life: Life) -> tuple[Phase, ...]:
    """Of the last install or update, with those that are still to come; none where nothing was reported."""
    found: dict[str, tuple[Phase, float]] = {}
    for time, report in reports:
        if report.phase not in INSTALL and report.phase not in UPDATE:
            continue
        if report.phase not in found or report.status is Status.STARTED:
            found[report.phase] = Phase(report.phase, began=int(time)), time
        phase, began = found[report.phase]
        mark = _MARKS[report.status]
        percent = round(report.percent) if report.percent is not None else phase.percent
        took = words.seconds(time - began) if mark != "running" else ""
        shown = evolve(phase, mark=mark, took=took, percent=percent, message=report.message)
        found[report.phase] = shown, began
    if not found:
        return ()
    order = list(UPDATE if any(name in UPDATE and name not in INSTALL for name in found) else INSTALL)
    reached = max(order.index(name) for name in found if name in order)  # what was passed over before had nothing to do
    rows = [found[n][0] if n in found else Phase(n) for at, n in enumerate(order) if n in found or at > reached]
    if order[-1] == "boot":
        ready = life.state is NodeState.READY
        rows[-1] = Phase("boot", "done" if ready else "running" if life.state is NodeState.INSTALLED else "")
    return tuple(rows)


def _facts(
    node: Node, life: Life, facts: Mapping[str, Any], meant: str, updated: Updated | None, drift: Drift | None
) -> tuple[Pair, ...]:
    on_disk = life.installed or "nothing of ours"
    if life.installed and meant and life.installed != meant:
        on_disk += f", and {node.image} means {meant} now"
    shown = [
        Pair("state", node.state.value),
        Pair("next network boot", {BootAction.LOCAL: "from its own disk"}.get(node.action, node.action.value)),
        Pair("on disk", on_disk),
        Pair("last heard of", at=int(life.last_seen)) if life.last_seen is not None else Pair("last heard of", "never"),
    ]
    if updated:
        counts = f"{updated.added} added, {updated.changed} changed, {updated.deleted} deleted"
        said = f": {updated.message}" if updated.message else ""
        shown.append(Pair("last update", f"to {updated.image} {updated.outcome.value}{said} ({counts})"))
        if updated.reboot:
            shown.append(Pair("waits for a reboot", "into its new kernel"))
    if drift:
        shown.append(Pair("drift", words.count(drift.count, "path") + f" unlike {drift.image}"))
        if facts.get("drift_at") is not None:
            shown.append(Pair("compared", at=int(facts["drift_at"])))
    if facts.get("plan_hash"):
        shown.append(Pair("plan it was installed by", facts["plan_hash"][:16]))
    return tuple(shown)


def _definition(node: Node, groups: Sequence[str]) -> tuple[Pair, ...]:
    return (
        Pair("image", str(node.image), f"/images/{node.image.image}"),
        Pair("disk layout", node.layout, f"/layouts/{node.layout}"),
        Pair("groups", ", ".join(groups) or "none"),
        Pair("address", str(node.address) if node.address else "from the pool"),
        Pair("known by", ", ".join(map(str, node.macs))),
        Pair("SMBIOS UUID", node.uuid or "not given"),
        Pair("console", node.console or "not given"),
    )


def hardware(frame: Frame, inventory: Inventory | None) -> Hardware:
    """The inventory as tables."""
    if inventory is None:
        return Hardware(frame, known=False)
    board = inventory.smbios
    secure = {True: "on", False: "off"}[inventory.secure_boot]
    facts = (
        Pair("machine", " ".join(filter(None, (board.vendor, board.product))) or "not told"),
        Pair("serial number", board.serial or "not told"),
        Pair("SMBIOS UUID", board.uuid or "not told"),
        Pair("firmware", f"{inventory.firmware.value}{f' {board.bios_version}' if board.bios_version else ''}"),
        Pair("Secure Boot", secure),
        Pair("TPM 2", "yes" if inventory.tpm2 else "no"),
        Pair("processors", f"{inventory.cpus} of {inventory.cpu_model or inventory.arch}"),
        Pair("memory", format_size(inventory.memory)),
    )
    return Hardware(frame, True, facts, tuple(map(_disk, inventory.disks)), tuple(map(_nic, inventory.nics)))


def _disk(disk: Disk) -> tuple[str, ...]:
    kind = "rotating" if disk.rotational else "solid state"
    holds = disk.in_use or disk.contents or words.count(len(disk.partitions), "partition")
    return (disk.path, format_size(disk.size), f"{disk.bus.value}, {kind}", disk.model, disk.serial, holds)


def _nic(nic: Nic) -> tuple[str, ...]:
    speed = f"{nic.speed:,} Mbit/s" if nic.speed else "link" if nic.link else "no link"
    return (nic.name, str(nic.mac), nic.driver, speed)


def history(frame: Frame, events: Sequence[Happening]) -> History:
    """``events`` as the store has them, the last one last."""
    return History(frame, happenings(events))


def happenings(events: Sequence[Happening]) -> Block:
    """A table of events, the last one first."""
    rows = tuple(Row(f"e-{each.id}", "events.line", each) for each in events)
    return Block("events", "events.table", None, rows[::-1])
