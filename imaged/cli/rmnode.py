"""``imaged rmnode``: forget nodes."""

import click

from imaged.admin import nodes
from imaged.cli.context import Context


@click.command("rmnode")
@click.argument("names", nargs=-1, required=True, metavar="NODES...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Forget NODES (node01, node[01-64], @rack1): their definitions, reports and secrets.

    Their disks stay as they are.
    """
    for name in nodes.remove(context.desk, names):
        click.echo(f"{name}: removed")
