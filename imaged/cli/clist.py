"""``imaged clist``: the clusters there are: groups, and all nodes."""

import click

from imaged.cli import reach
from imaged.cli.context import Context
from imaged.store.database import open_database
from imaged.store.groups import Groups


@click.command("clist")
@click.pass_obj
def command(context: Context) -> None:
    """List what can stand for many nodes, such as @rack1, and which nodes that are."""
    engine = open_database(context.state.database)
    groups = Groups(engine)
    for name in ("*", *(group.name for group in groups.all())):
        nodes = [node.name for node in reach.named(engine, ("@*",))] if name == "*" else list(groups.nodes(name))
        click.echo(f"@{name}: {reach.folded(nodes) or '(no nodes)'}")
