"""``imaged setgroup``: change what is said of a group's nodes."""

from typing import Any

import click

from imaged.admin import groups
from imaged.admin.groups import GroupChanges
from imaged.cli import setups
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.planning.defining import FIRST


@click.command("setgroup")
@click.argument("name", metavar="GROUP")
@setups.changing
@click.option(
    "--first", type=click.Choice(("", *FIRST)),
    help="First network boot of nodes that are added to it; empty: no longer said here.",
)  # fmt: skip
@click.option("--priority", type=click.IntRange(0, 1_000_000), help="The lowest of a node's groups wins.")
@click.pass_obj
def command(context: Context, /, name: str, *, priority: int | None, first: str | None, **given: Any) -> None:
    """Change what is said of the nodes in GROUP, for all those of which neither they themselves nor a group that wins
    over it say something else. Prints which nodes that changes.

    Nothing happens on the nodes: `imaged boot @GROUP install` or `imaged updateclient @GROUP` carries it there. How
    their own systems are set up is said by `imaged sethost --group`.
    """
    changes = GroupChanges(**setups.take(given), priority=priority, first=first)
    if changes == GroupChanges():
        raise BadInput("nothing to change", hint="`imaged setgroup --help` shows what can be.")
    group, effects = groups.change(context.desk, name, changes)
    click.echo(f"{group.name}: {setups.said(group.setup, f'priority {group.priority}')}")
    setups.tell(effects)
    if not effects:
        click.echo("no node is another one by this")
