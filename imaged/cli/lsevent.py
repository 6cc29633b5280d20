"""``imaged lsevent``: what was changed, when and by whom."""

import json
import time
from typing import Any

import click

from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.store.events import Event, Events


@click.command("lsevent")
@click.argument("names", nargs=-1, metavar="[NODE|GROUP]...")
@click.option("--lines", "-n", type=click.IntRange(1, 100_000), default=50, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], lines: int, as_json: bool) -> None:
    """List the latest changes of nodes and groups (of all without a name): time, who, what, and from what to what."""
    events = Events(context.engine).last(lines, names)
    if as_json:
        click.echo(json.dumps(to_plain(events), indent=2))
        return
    for event in events:
        click.echo(line(event))


def line(event: Event) -> str:
    """``2026-11-21 20:09:27  ann  n1: node changed: image: a -> b``."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
    return f"{when}  {event.who}  {event.subject}: {event.what}: {difference(event)}"


def difference(event: Event) -> str:
    """``image: a -> b, layout: x``. Pure."""
    words = []
    for key in dict.fromkeys((*event.before, *event.after)):
        old, new = _shown(event.before.get(key)), _shown(event.after.get(key))
        words.append(f"{key}: {' -> '.join(each for each in (old, new or ('none' if old else '')) if each)}")
    return ", ".join(words)


def _shown(value: Any) -> str:
    if value in (None, "", []):
        return ""
    return (
        " ".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else json.dumps(value)
    )
