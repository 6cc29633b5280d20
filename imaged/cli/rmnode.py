"""``imaged rmnode``: forget nodes."""

import click

from imaged.cli import reach
from imaged.cli.context import Context
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.overrides import Overrides
from imaged.store.vault import Vault


@click.command("rmnode")
@click.argument("names", nargs=-1, required=True, metavar="NODES...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Forget NODES (node01, node[01-64], @rack1): their definitions, reports and secrets.

    Their disks stay as they are.
    """
    engine = open_database(context.state.database)
    nodes = Nodes(engine)
    for name in [node.name for node in reach.named(engine, names)]:  # all of them exist, or none is removed
        nodes.remove(name)
        Overrides(context.state).forget(name)  # there may be secrets among them
        Vault(context.state.vault).forget(name)
        click.echo(f"{name}: removed")
