"""``imaged addgroup``: define a group of nodes."""

from typing import Any

import click

from imaged.admin import groups
from imaged.admin.groups import NewGroup
from imaged.cli import hosting, setups
from imaged.cli.context import Context
from imaged.model.group import DEFAULT_PRIORITY
from imaged.model.setup import Setup
from imaged.planning.defining import FIRST


@click.command("addgroup")
@click.argument("name")
@click.option(
    "--priority",
    type=click.IntRange(0, 1_000_000),
    default=DEFAULT_PRIORITY,
    show_default=True,
    help="Among the groups of a node the lowest number wins.",
)
@click.option("--first", type=click.Choice(FIRST), help="First network boot of nodes that are added to it.")
@setups.options
@hosting.options
@click.pass_obj
def command(context: Context, /, name: str, priority: int, first: str | None, **said: Any) -> None:
    """Define group NAME: overrides and scripts may be for it, nodes are put into it by `addnode --group`.

    What is said here holds for those of its nodes of which neither they themselves nor a group that wins say more.
    """
    setup = Setup(**setups.take(said), first=first or "")
    group = groups.add(context.desk, NewGroup(name, priority, hosting.host(**said), setup))
    said_of_it = setups.said(group.setup, f"priority {group.priority}")
    click.echo(f"{group.name}: {said_of_it}, overrides in {context.state.root}/overrides/group/{name}")
