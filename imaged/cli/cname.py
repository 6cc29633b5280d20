"""``imaged cname``: which nodes are at these positions."""

import click

from imaged.admin import ranges
from imaged.cli.context import Context
from imaged.planning.cluster import at_positions


@click.command("cname")
@click.argument("positions", default="", metavar="[POSITIONS]")
@click.option("--of", "nodes", default="@*", show_default=True, metavar="NODES", help="Counted among these.")
@click.pass_obj
def command(context: Context, positions: str, nodes: str) -> None:
    """Print the names of the nodes at POSITIONS (0-3,5; all without any), counted from 0 by name."""
    names = [node.name for node in ranges.named(context.desk, (nodes,))]
    for name in at_positions(positions, names):
        click.echo(name)
