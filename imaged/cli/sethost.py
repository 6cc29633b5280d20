"""``imaged sethost``: say how the own system of a node, or of a group's nodes, shall be set up."""

from typing import Any

import click

from imaged.admin.groups import set_host
from imaged.cli import hosting
from imaged.cli.context import Context
from imaged.model.codec import to_plain


@click.command("sethost")
@click.argument("name")
@click.option("--group", is_flag=True, help="NAME is a group: of all its nodes, where nothing else is said.")
@click.option("--clear", is_flag=True, help="Forget what was said before.")
@hosting.options
@click.pass_obj
def command(context: Context, /, name: str, *, group: bool, clear: bool, **said: Any) -> None:
    """Say how the system of node NAME shall be set up, at its next install and update; what is not given stays.

    Without options: show what was said.
    """
    host = set_host(context.desk, name, hosting.host(**said), group=group, clear=clear)
    for key, value in to_plain(host).items():
        if value is not None:
            shown = ", ".join(link.name for link in host.network.links) if key == "network" and host.network else value
            click.echo(f"{key}: {shown}")
