"""``imaged ckill``: a signal to processes on many nodes."""

from typing import Any

import click

from imaged.cli import cluster
from imaged.cli.context import Context
from imaged.planning.cluster import kill


@click.command("ckill")
@click.option("--signal", "-s", default="TERM", show_default=True, help="Its name or number.")
@click.option("--user", "-u", default="", help="Only processes of this user.")
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("name", metavar="PROCESS")
@click.pass_obj
def command(context: Context, /, nodes: str, name: str, signal: str, user: str, **given: Any) -> None:
    """Send a signal to every process called PROCESS on NODES, by pkill(1)."""
    cluster.run(context, (nodes,), kill(name, signal, user), given)
