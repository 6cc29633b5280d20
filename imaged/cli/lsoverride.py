"""``imaged lsoverride``: which layer each path of a node's overrides comes from."""

import json
import time

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imaged.cli.context import Context
from imaged.daemon.provisioning import Provisioning
from imaged.model.override import Merged
from imaged.store.layers import readable


@click.command("lsoverride")
@click.argument("name", metavar="NODE")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, name: str, as_json: bool) -> None:
    """Show the overrides of NODE: each path, the layer it comes from, the layers that lost, and what clashes."""
    provisioning = Provisioning(context.settings, time.time)
    node = provisioning.nodes.get(name)
    merged = provisioning.merged_overrides(node, provisioning.images.resolve(node.image))
    if as_json:
        paths = [
            {"path": f"/{each.path}", "layer": each.layer, "source": each.source, "over": each.over}
            for each in merged.paths
            if not each.directory
        ]
        click.echo(json.dumps({"paths": paths, "clashes": [str(clash) for clash in merged.clashes]}, indent=2))
    else:
        _show(merged)


def _show(merged: Merged) -> None:
    console = Console()
    table = Table("path", "layer", "over", box=None)
    for each in merged.paths:
        if not each.directory:
            table.add_row(escape(readable(f"/{each.path}")), each.layer, " ".join(each.over) or "-")
    console.print(table)
    for clash in merged.clashes:
        console.print(readable(str(clash)), markup=False, highlight=False)
