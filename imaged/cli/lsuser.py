"""``imaged lsuser``: the users of the web page."""

import json
import time

import click
from rich.console import Console
from rich.table import Table

from imaged.admin import people
from imaged.cli.context import Context
from imaged.model.codec import to_plain


@click.command("lsuser")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List the users of the web page, their roles, and since when they have their passwords."""
    found = people.every(context.desk)
    if as_json:
        click.echo(json.dumps(to_plain(found), indent=2))
    elif not found:
        click.echo("No users yet. `imaged adduser NAME` makes one.")
    else:
        table = Table("user", "role", "password since", box=None)
        for each in found:
            table.add_row(each.name, each.role.value, time.strftime("%Y-%m-%d %H:%M", time.localtime(each.changed)))
        Console(width=200).print(table)
