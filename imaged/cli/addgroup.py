"""``imaged addgroup``: define a group of nodes."""

import click

from imaged.cli.context import Context
from imaged.model.group import DEFAULT_PRIORITY, Group, group_name
from imaged.store.database import open_database
from imaged.store.groups import Groups


@click.command("addgroup")
@click.argument("name")
@click.option(
    "--priority",
    type=click.IntRange(0, 1_000_000),
    default=DEFAULT_PRIORITY,
    show_default=True,
    help="Among the groups of a node the lowest number wins.",
)
@click.pass_obj
def command(context: Context, name: str, priority: int) -> None:
    """Define group NAME: overrides and scripts may be for it, nodes are put into it by `addnode --group`."""
    group = Group(group_name(name), priority)
    Groups(open_database(context.state.database)).add(group)
    click.echo(f"{group.name}: priority {group.priority}, overrides in {context.state.root}/overrides/group/{name}")
