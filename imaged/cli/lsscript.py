"""``imaged lsscript``: which scripts run on a node."""

import json
import time

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imaged.cli.context import Context
from imaged.daemon.provisioning import Provisioning
from imaged.planning.scripts import Chosen
from imaged.store.layers import readable

_KINDS = ("pre-install", "post-install", "post-update")


@click.command("lsscript")
@click.argument("name", metavar="NODE")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, name: str, as_json: bool) -> None:
    """Show the scripts of NODE in the order in which they run, and for which of its classes each one does."""
    provisioning = Provisioning(context.settings, time.time)
    node = provisioning.nodes.get(name)
    found = {kind: provisioning.scripts(node, kind) for kind in _KINDS}
    if as_json:
        click.echo(json.dumps({kind: [_plain(kind, each) for each in found[kind]] for kind in _KINDS}, indent=2))
    elif not any(found.values()):
        click.echo(f"{name} has no scripts")
    else:
        _show(found)


def _plain(kind: str, each: Chosen) -> dict[str, str]:
    return {"file": f"scripts/{kind}/{each.name}", "for": each.layer}


def _show(found: dict[str, tuple[Chosen, ...]]) -> None:
    table = Table("when", "for", "file", box=None)
    for kind, scripts in found.items():
        for each in scripts:
            table.add_row(kind, escape(readable(each.layer)), escape(readable(f"scripts/{kind}/{each.name}")))
    Console().print(table)
