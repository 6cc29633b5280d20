"""``imaged addgroup``: define a group of nodes."""

from typing import Any

import click

from imaged.cli import hosting
from imaged.cli.context import Context
from imaged.model.group import DEFAULT_PRIORITY, Group, group_name
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts


@click.command("addgroup")
@click.argument("name")
@click.option(
    "--priority",
    type=click.IntRange(0, 1_000_000),
    default=DEFAULT_PRIORITY,
    show_default=True,
    help="Among the groups of a node the lowest number wins.",
)
@hosting.options
@click.pass_obj
def command(context: Context, /, name: str, priority: int, **said: Any) -> None:
    """Define group NAME: overrides and scripts may be for it, nodes are put into it by `addnode --group`.

    What is said of the system of its nodes holds for those of which nothing else is said.
    """
    group, host = Group(group_name(name), priority), hosting.host(**said)
    engine = open_database(context.state.database)
    Groups(engine).add(group)
    Hosts(engine).put_group(group.name, host)
    click.echo(f"{group.name}: priority {group.priority}, overrides in {context.state.root}/overrides/group/{name}")
