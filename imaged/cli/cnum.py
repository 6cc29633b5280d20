"""``imaged cnum``: at which positions nodes are."""

import click

from imaged.admin import ranges
from imaged.cli.context import Context
from imaged.model.errors import NotFound


@click.command("cnum")
@click.argument("nodes", nargs=-1, required=True, metavar="NODES...")
@click.option("--of", "among", default="@*", show_default=True, metavar="NODES", help="Counted among these.")
@click.pass_obj
def command(context: Context, nodes: tuple[str, ...], among: str) -> None:
    """Print the position of each of NODES, counted from 0 by name."""
    everyone = [node.name for node in ranges.named(context.desk, (among,))]
    wanted = [node.name for node in ranges.named(context.desk, nodes)]
    for name in wanted:
        if name not in everyone:
            raise NotFound(f"{name} is not among {among}")
    for name in wanted:
        click.echo(f"{everyone.index(name)} {name}")
