"""``imaged lsgroup``: groups, in the order in which they are applied."""

import json

import click
from rich.console import Console
from rich.table import Table

from imaged.cli.context import Context
from imaged.store.database import open_database
from imaged.store.groups import Groups


@click.command("lsgroup")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List groups and their nodes, in the order in which they are applied: the last one wins."""
    store = Groups(open_database(context.state.database))
    groups = [(group, store.nodes(group.name)) for group in store.all()]
    if as_json:
        plain = [{"name": group.name, "priority": group.priority, "nodes": nodes} for group, nodes in groups]
        click.echo(json.dumps(plain, indent=2))
    elif not groups:
        click.echo("No groups yet. `imaged addgroup NAME` defines one.")
    else:
        table = Table("group", "priority", "nodes", box=None)
        for group, nodes in groups:
            table.add_row(group.name, str(group.priority), " ".join(nodes) or "-")
        Console().print(table)
