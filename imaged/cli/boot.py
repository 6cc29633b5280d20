"""``imaged boot``: what nodes do at their next network boot."""

import click

from imaged.cli.context import Context
from imaged.model.node import BootAction
from imaged.store.database import open_database
from imaged.store.nodes import Nodes


@click.command("boot")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.argument("action", type=click.Choice([action.value for action in BootAction]))
@click.pass_obj
def command(context: Context, names: tuple[str, ...], action: str) -> None:
    """At their next network boot let NODEs be installed (install) or start from their own disks (local)."""
    Nodes(open_database(context.state.database)).set_action(names, BootAction(action))
    for name in names:
        click.echo(f"{name}: next network boot: {action}")
