"""``imaged monitor``: how nodes do, live."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import click
from rich.console import Console
from rich.live import Live

from imaged.admin import ranges
from imaged.cli import courses
from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.planning.course import Course

_PERIOD = 1.0  # seconds between two looks

Look = Callable[[], Sequence[Course]]


@click.command("monitor")
@click.argument("names", nargs=-1, metavar="[NODES]...")
@click.option("--once", is_flag=True, help="One look, then end.")
@click.option("--all", "everything", is_flag=True, help="Also nodes that are ready, or were never begun.")
@click.option("--json", "as_json", is_flag=True, help="For programs; without --once one line for each change.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], once: bool, everything: bool, as_json: bool) -> None:
    """Show how NODES do (all without a name), those that need a person first: installs, updates, what has stalled.

    On a terminal the table is live until Ctrl-C; nodes that are ready, or were never begun, are only counted unless
    they are named. Elsewhere a line is printed for each change.
    """
    desk = context.desk
    wanted = frozenset(node.name for node in ranges.named(desk, names)) if names else None
    everything = everything or bool(names)

    def look() -> Sequence[Course]:
        return [each for each in desk.monitor.look(time.time()) if wanted is None or each.node in wanted]

    console = Console(highlight=False)
    try:
        if once:
            _once(look(), everything=everything, as_json=as_json)
        elif as_json:
            _tell(changes(look, _pause), lambda each: json.dumps({"time": time.time(), **to_plain(each)}))
        elif console.is_terminal:
            _live(console, look, everything=everything)
        else:
            _tell(changes(look, _pause), lambda each: f"{time.strftime('%H:%M:%S')} {courses.line(each)}")
    except KeyboardInterrupt:  # how a monitor is left
        pass


def _once(found: Sequence[Course], *, everything: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(to_plain(tuple(found)), indent=2))
    else:
        click.echo("\n".join(courses.lines(found, everything=everything)))


def _live(console: Console, look: Look, *, everything: bool) -> None:
    """A screen of its own, so that it may be resized; the last look stays when it is left."""
    found: Sequence[Course] = ()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                found = look()
                live.update(courses.table(found, console.size, everything=everything), refresh=True)
                _pause()
    finally:
        console.print(courses.table(found, console.size, everything=everything))


def changes(look: Look, pause: Callable[[], None]) -> Iterator[Course]:
    """What is under way or needs a person at first, then every node of which there is something new to say."""
    before: dict[str, tuple[str, ...]] = {}
    first = True
    while True:
        found = look()
        for each in courses.ranked(found, everything=not first):
            if before.get(each.node) != courses.gist(each):
                yield each
        before = {each.node: courses.gist(each) for each in found}
        first = False
        pause()


def _pause() -> None:
    time.sleep(_PERIOD)


def _tell(changes: Iterator[Course], said: Callable[[Course], str]) -> None:
    for each in changes:
        click.echo(said(each))
        sys.stdout.flush()
