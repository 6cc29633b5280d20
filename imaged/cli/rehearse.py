"""``imaged rehearse``: install a node in a virtual machine, from power-on to ready."""

import platform
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from imaged.cli.context import Context
from imaged.model.errors import BadInput, ImagedError
from imaged.model.hardware import Firmware
from imaged.model.names import ImageRef, node_name
from imaged.model.report import Status
from imaged.model.size import GIB, MIB, parse_size
from imaged.rehearsal import phases
from imaged.rehearsal.machine import DiskOption, MachineSpec, NicModel, Way
from imaged.rehearsal.phases import Facts, Outcome, Row
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.rehearsal.update import Step, play, story
from imaged.store.events import Events
from imaged.store.images import Images

_NUMBERED = re.compile(r"(.*?)([0-9]*)", re.ASCII)
_WORDS = {Status.STARTED: "running", Status.PROGRESS: "running", Status.DONE: "done", Status.FAILED: "FAILED"}


@click.command("rehearse")
@click.argument("node", default="node01")
@click.option("--image", required=True, help="NAME, NAME@CHANNEL or NAME@VERSION.")
@click.option("--layout", default="one-disk", show_default=True, help="Disk layout.")
@click.option("--firmware", type=click.Choice([f.value for f in Firmware]), help="bios; on ARM there is only uefi.")
@click.option(
    "--disk",
    "disks",
    multiple=True,
    default=("virtio,8G",),
    show_default=True,
    help="BUS,SIZE[,sector=4096][,serial=TEXT] with BUS virtio, sata, nvme, scsi or usb; repeat for more disks.",
)
@click.option(
    "--nic",
    "nics",
    multiple=True,
    type=click.Choice([n.value for n in NicModel]),
    default=("virtio",),
    show_default=True,
    help="Repeat for more; the first one network-boots.",
)
@click.option(
    "--boot", "way", type=click.Choice(["pxe", "http", "media", "cd", "usb"]), default="pxe", show_default=True,
    help="Network boot, UEFI's HTTP boot alone, or a boot medium (media: as a CD).",
)  # fmt: skip
@click.option("--secure-boot", is_flag=True, help="UEFI that runs only what Microsoft's keys vouch for.")
@click.option("--memory", default="2G", show_default=True, help="Memory of each machine.")
@click.option("--cpus", type=click.IntRange(1, 64), default=2, show_default=True, help="Processors of each machine.")
@click.option(
    "--count",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Machines at once; names count up from NODE.",
)
@click.option(
    "--ssh-key", type=click.Path(path_type=Path), help="Private key; the verdict then needs an answer by ssh."
)
@click.option("--log-dir", type=click.Path(path_type=Path), help="Where consoles and the daemon's log go.")
@click.option("--timeout", type=click.IntRange(1), default=1800, show_default=True, help="Seconds, in all.")
@click.option("--until", metavar="PHASE", help="Stop with success once PHASE is through, such as transfer.")
@click.option("--update", "updates", is_flag=True, help="Then edit a copy of the image, update, repair and roll back.")
@click.option("--keep", is_flag=True, help="Leave disks, database and settings for a look afterwards.")
@click.pass_obj
def command(
    context: Context, node: str, image: str, layout: str, firmware: str | None, disks: tuple[str, ...],
    nics: tuple[str, ...], way: str, secure_boot: bool, memory: str, cpus: int, count: int, ssh_key: Path | None,
    log_dir: Path | None, timeout: int, until: str | None, updates: bool, keep: bool,
) -> None:  # fmt: skip
    """Install NODE (default node01) in a virtual machine of its own, with a daemon and a network of its own.

    Nothing outside is touched: images, boot ramdisk and layouts are read from the state directory, everything else
    is made in a scratch directory and removed at the end. Ends with 0 only when every machine came up from its own
    disk and said so, and with --update when each step of the updates ended as it must.
    """
    if until is not None and until not in phases.PHASES:
        raise BadInput(f"{until!r} is no phase", where="--until", hint=f"Phases are {', '.join(phases.PHASES)}.")
    if updates and (ssh_key is None or until is not None):
        raise BadInput(
            "updates go by ssh to nodes that are ready", where="--update", hint="Give --ssh-key, no --until."
        )
    plugged = tuple(DiskOption.parse(disk) for disk in disks)
    size = _memory(memory)
    names = numbered(node, count)
    arch = Images(context.state.images).resolve(ImageRef.parse(image)).facts.arch or platform.machine()
    start = Firmware(firmware) if firmware else Firmware.BIOS if arch == "x86_64" else Firmware.UEFI
    spec = MachineSpec(
        firmware=start,
        disks=plugged,
        nics=tuple(NicModel(nic) for nic in nics),
        memory=size,
        cpus=cpus,
        way=Way.CD if way == "media" else Way(way),
        secure_boot=secure_boot,
        arch=arch,
    )
    rehearsed = image
    logs = log_dir or context.state.logs / "rehearsals" / time.strftime("%Y%m%d-%H%M%S")
    console = Console(highlight=False)
    screen = _Screen(console)
    with _terminated_like_ctrl_c(), Rehearsal(context.settings, logs=logs, ssh_key=ssh_key, keep=keep) as rehearsal:
        if updates:
            image = _copy(console, rehearsal, image)
        guests = [rehearsal.machine(name, spec, image=image, layout=layout) for name in names]
        console.print(
            f"{', '.join(names)}: {image}, {spec.firmware.value}, {rehearsal.accel.value}; logs in {logs}", markup=False
        )
        rehearsal.start_daemon()
        for guest in guests:
            guest.power_on()
        try:
            with screen:
                rehearsal.watch(_goal(until), screen.show, timeout=timeout)
            if ssh_key and until is None:
                for name in names:
                    _check_host_name(console, name, rehearsal.ssh_host_name(name))
            if updates:
                assert ssh_key is not None
                _update(console, rehearsal, image, names, ssh_key)
            if until is None:
                _record(context, rehearsed, spec, {"outcome": "ready"})
        except ImagedError as error:
            _record(context, rehearsed, spec, {"outcome": "failed", "reason": str(error)})
            raise
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning up
            _report(console, rehearsal, screen.latest)


def _record(context: Context, image: str, spec: MachineSpec, said: dict[str, str]) -> None:
    """Kept as an event of the version, for whoever asks later: the web page does."""
    ref = Images(context.state.images).resolve(ImageRef.parse(image)).ref
    Events(context.desk.engine).tell("rehearsal", ref, {**said, "firmware": spec.firmware.value, "way": spec.way.value})


def numbered(node: str, count: int) -> tuple[str, ...]:
    """``node07`` and 3: ``node07 node08 node09``. Raises BadInput for what is no node name."""
    node_name(node)
    if count == 1:
        return (node,)
    match = _NUMBERED.fullmatch(node)
    assert match is not None  # both groups may be empty
    first, width = int(match[2] or 1), len(match[2])
    return tuple(node_name(f"{match[1]}{first + number:0{width}d}") for number in range(count))


def _memory(text: str) -> int:
    size = parse_size(text)
    if not 512 * MIB <= size <= 1024 * GIB:
        raise BadInput(f"{text!r} is not between 512M and 1024G", where="--memory")
    return size


def _goal(until: str | None) -> Callable[[tuple[Facts, ...]], bool]:
    if until is not None:
        return lambda all_facts: all(phases.reached(facts, until, Status.DONE) for facts in all_facts)
    return lambda all_facts: all(phases.outcome(facts) is Outcome.READY for facts in all_facts)


class _Screen:
    """The phases of all machines: a table that lives in a terminal, a line per change anywhere else."""

    def __init__(self, console: Console) -> None:
        self.latest: tuple[Facts, ...] = ()
        self._console = console
        self._said: set[tuple[str, str, str]] = set()
        self._live = Live(console=console, transient=True, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> "_Screen":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, latest: tuple[Facts, ...]) -> None:
        """One look at the machines."""
        self.latest = latest
        if self._live:
            rows = {facts.node: phases.table(facts) for facts in latest}
            # Many machines would not fit on the screen with all that is behind them.
            self._live.update(_table(rows if len(rows) <= 2 else {node: each[-1:] for node, each in rows.items()}))
            return
        for facts in latest:
            for row in phases.table(facts):
                self._say(facts, row)

    def _say(self, facts: Facts, row: Row) -> None:
        word = _WORDS[row.status]
        if (facts.node, row.phase, word) in self._said:
            return
        self._said.add((facts.node, row.phase, word))
        time_since = row.began - facts.powered + (row.seconds if word != "running" else 0.0)
        took = f" in {row.seconds:.1f} s" if word != "running" else ""
        message = f": {row.message}" if row.message and word != "running" else ""
        self._console.print(
            f"{time_since:7.1f} s  {facts.node}  {row.phase} {word}{took}{message}", markup=False, soft_wrap=True
        )


def _table(rows: dict[str, tuple[Row, ...]]) -> Table:
    table = Table("node", "phase", "", box=None)
    table.add_column("seconds", justify="right")
    table.add_column("%", justify="right")
    for node, phases_of_node in rows.items():
        for row in phases_of_node:
            percent = f"{row.percent:.0f}" if row.percent is not None and row.status is not Status.DONE else ""
            style = {"FAILED": "bold red", "running": "bold"}.get(_WORDS[row.status])
            table.add_row(node, row.phase, _WORDS[row.status], f"{row.seconds:.1f}", percent, style=style)
        table.add_row(node, "total", "", f"{phases.total(phases_of_node):.1f}", "", end_section=True)
    return table


def _check_host_name(console: Console, name: str, answer: str) -> None:
    if answer != name:
        raise ImagedError(f"ssh answers, but as {answer!r}", where=name)
    console.print(f"{name}: ready, and ssh answers with its own host name", markup=False)


def _copy(console: Console, rehearsal: Rehearsal, image: str) -> str:
    """The image that is edited in place of ``image``, which nodes of the site may use."""
    name = image.partition("@")[0] + "-edited"
    copy = rehearsal.copy_image(image, name)
    console.print(f"{copy.ref}: {copy.origin}, gone with this rehearsal", markup=False)
    return name


def _update(console: Console, rehearsal: Rehearsal, image: str, names: tuple[str, ...], key: Path) -> None:
    """Play an update, and show each command as it is typed and what it prints."""
    table = Table("step", "", box=None)
    table.add_column("seconds", justify="right")

    def begins(step: Step) -> None:
        console.print(f"\n[bold]{escape(step.title)}[/bold]\n[green]$ {escape(str(step))}[/green]", soft_wrap=True)

    def says(line: str) -> None:
        console.print(f"  {line}", markup=False, soft_wrap=True)

    try:
        for done in play(rehearsal, tuple(story(image, names, key)), begins, says):
            table.add_row(done.step.title, "done", f"{done.seconds:.1f}")
    finally:
        console.print()
        console.print(table)


def _report(console: Console, rehearsal: Rehearsal, latest: tuple[Facts, ...]) -> None:
    """What happened, where to read more, what to do next: after success and after failure alike."""
    if latest:
        console.print(_table({facts.node: phases.table(facts) for facts in latest}))
    for facts in latest:
        console.print(f"{facts.node}: {facts.state.value}{': ' + facts.reason if facts.reason else ''}", markup=False)
    for guest in rehearsal.guests.values():
        console.print(f"console: less -R {guest.console.path}", markup=False, soft_wrap=True)
    console.print(f"daemon:  less {rehearsal.daemon.log}", markup=False, soft_wrap=True)
    if rehearsal.keeps:
        console.print(f"kept:    {rehearsal.state.root} (disks, database, settings)", markup=False, soft_wrap=True)


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """``kill`` and a closed terminal end a rehearsal as Ctrl-C does: with everything removed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
