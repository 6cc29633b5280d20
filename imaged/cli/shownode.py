"""``imaged shownode``: everything that holds for one node."""

import json
import time
from collections.abc import Iterable

import click

from imaged.admin import showing
from imaged.admin.overview import Standing
from imaged.cli import setups
from imaged.cli.context import Context
from imaged.cli.lsevent import line
from imaged.cli.lsmachine import moment
from imaged.cli.showmachine import hardware
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import to_plain
from imaged.model.errors import ImagedError
from imaged.model.node import Node
from imaged.planning.explained import Explained
from imaged.store.layers import readable

_KINDS = ("pre-install", "post-install", "post-update")


@click.command("shownode")
@click.argument("name", metavar="NODE")
@click.option("--explain", is_flag=True, help="Also where each thing was said, and of which layers its files are.")
@click.option("--events", type=click.IntRange(1, 100_000), default=10, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, name: str, explain: bool, events: int, as_json: bool) -> None:
    """Show what holds for NODE, wherever it was said: what it runs, its addresses, its own system; its hardware, where
    it is in its life, and what was changed of it and of its groups.
    """
    shown = showing.show(context.desk, name, events)
    files, troubles = _files(context, shown.standing.node) if explain else ([], [])
    if as_json:
        click.echo(json.dumps({**to_plain(shown), "files": to_plain(files), "troubles": troubles}, indent=2))
        return
    _print("", [*_life(shown.standing, shown.last_seen), *_table(shown.values, explain=explain)])
    _print("files", [*_table(files, explain=True), *troubles])
    _print("hardware", hardware(shown.inventory))
    _print("history", [line(each) for each in shown.history])
    setups.tell_missing([shown.standing.node])


def _life(standing: Standing, last_seen: float | None) -> list[str]:
    node = standing.node
    drift = "" if standing.drift is None else f", {standing.drift} paths differ"
    seen = f", last seen {moment(last_seen)}" if last_seen else ""
    return [
        f"{node.name}: {node.state.value}, next network boot: {standing.booting}{seen}",
        f"on disk: {standing.installed or 'nothing'}, in step: {standing.in_step}{drift}",
        *standing.troubles,
        "",
    ]


def _files(context: Context, node: Node) -> tuple[list[Explained], list[str]]:
    """What lies over its image and runs on it, with the layers they are of; and what keeps that from being told."""
    provisioning = Provisioning(context.settings, time.time)
    found, troubles = [], []
    try:
        merged = provisioning.merged_overrides(node, provisioning.images.resolve(node.image))
        paths = [each for each in merged.paths if not each.directory]
        found += [Explained(f"/{each.path}", "override", each.layer) for each in paths]
        troubles += list(map(str, merged.clashes))
        scripts = [(kind, each) for kind in _KINDS for each in provisioning.scripts(node, kind)]
        found += [Explained(f"scripts/{kind}/{each.name}", "script", each.layer) for kind, each in scripts]
    except ImagedError as error:
        troubles.append(str(error).partition("\n")[0])
    return found, troubles


def _table(rows: Iterable[Explained], *, explain: bool) -> list[str]:
    """``image   compute@stable   group gpu``."""
    found = [(each.what, each.value or "-", each.source if explain else "") for each in rows]
    first, second = (max((len(row[at]) for row in found), default=0) for at in (0, 1))
    return [f"{what:<{first}}  {value:<{second}}  {source}".rstrip() for what, value, source in found]


def _print(title: str, lines: list[str]) -> None:
    if lines:
        click.echo("\n".join([*(["", f"{title}:"] if title else []), *map(readable, lines)]))
