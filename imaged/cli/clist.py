"""``imaged clist``: the clusters there are: groups, and all nodes."""

import click

from imaged.admin import ranges
from imaged.cli.context import Context


@click.command("clist")
@click.pass_obj
def command(context: Context) -> None:
    """List what can stand for many nodes, such as @rack1, and which nodes that are."""
    groups = context.desk.groups
    for name in ("*", *(group.name for group in groups.all())):
        nodes = [node.name for node in ranges.named(context.desk, ("@*",))] if name == "*" else list(groups.nodes(name))
        click.echo(f"@{name}: {ranges.folded(nodes) or '(no nodes)'}")
