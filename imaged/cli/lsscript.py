"""``imaged lsscript``: which scripts run on a node."""

import json
import time
from typing import Any

import click
from attrs import evolve
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imaged.cli.context import Context
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import to_plain
from imaged.model.states import StateRun
from imaged.planning.scripts import Chosen
from imaged.planning.states import KINDS, in_order
from imaged.store.layers import readable
from imaged.store.stateruns import StateRuns

_KINDS = ("pre-install", "post-install", "post-update")


@click.command("lsscript")
@click.argument("name", metavar="NODE")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, name: str, as_json: bool) -> None:
    """Show the scripts of NODE in the order in which they run, and for which of its classes each one does.

    Below them: how those of its states went the last time (`imaged log NODE` has what they said).
    """
    provisioning = Provisioning(context.settings, time.time)
    node, words = provisioning.nodes.get(name), in_order(provisioning.overrides.script_names(KINDS))
    kinds = (*_KINDS, *(f"{KINDS}/{word}" for word in words))
    found = {kind: provisioning.scripts(node, kind) for kind in kinds}
    runs = StateRuns(provisioning.engine).of(name)
    if as_json:
        plain = {kind: [_plain(kind, each) for each in found[kind]] for kind in kinds}
        click.echo(json.dumps({**plain, "runs": [_plain_run(run) for run in runs]}, indent=2))
        return
    if any(found.values()):
        _show(found)
    else:
        click.echo(f"{name} has no scripts")
    for run in runs:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.time))
        click.echo(f"{KINDS}/{run.state} {when}: {ended(run)}")


def _plain(kind: str, each: Chosen) -> dict[str, str]:
    return {"file": f"scripts/{kind}/{each.name}", "for": each.layer}


def _plain_run(run: StateRun) -> dict[str, Any]:
    """Without what the node is to run: there may be secrets in it."""
    return {**to_plain(evolve(run, text="")), "over": run.over, "trouble": run.trouble}


def ended(run: StateRun) -> str:
    """How it went, in a line. Pure."""
    if run.over:
        return run.trouble or "done"
    heard = "given to the node, which has not told of its end"
    return f"{run.trouble}; {heard}" if run.trouble else heard


def _show(found: dict[str, tuple[Chosen, ...]]) -> None:
    table = Table("when", "for", "file", box=None)
    for kind, scripts in found.items():
        for each in scripts:
            table.add_row(kind, escape(readable(each.layer)), escape(readable(f"scripts/{kind}/{each.name}")))
    Console().print(table)
