"""``imaged rmnode``: forget nodes."""

import click

from imaged.cli.context import Context
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.overrides import Overrides
from imaged.store.vault import Vault


@click.command("rmnode")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Forget NODEs: their definitions, reports and secrets. Their disks stay as they are."""
    nodes = Nodes(open_database(context.state.database))
    for name in names:
        nodes.get(name)  # all of them exist, or none is removed
    for name in names:
        nodes.remove(name)
        Overrides(context.state).forget(name)  # there may be secrets among them
        Vault(context.state.vault).forget(name)
        click.echo(f"{name}: removed")
