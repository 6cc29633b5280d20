"""``imaged lskey``: the keys of a node's encrypted devices."""

import time

import click
from rich.console import Console
from rich.table import Table

from imaged.cli.context import Context
from imaged.model.errors import NotFound
from imaged.model.names import node_name
from imaged.store.keys import Keys


@click.command("lskey")
@click.argument("name", metavar="NODE")
@click.option("--show", is_flag=True, help="Print the keys themselves.")
@click.pass_obj
def command(context: Context, name: str, show: bool) -> None:
    """List the keys of NODE's encrypted devices. They are kept when the node is removed: its disks still need them."""
    found = Keys(context.engine).all(node_name(name))
    if not found:
        raise NotFound("no keys", where=name, hint="One is made when an install encrypts a device.")
    table = Table("device", "made", *(("key",) if show else ()), box=None)
    for key in found:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(key.created))
        table.add_row(key.device, made, *((key.text,) if show else ()))
    Console(width=200).print(table)
