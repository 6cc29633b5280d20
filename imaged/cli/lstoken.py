"""``imaged lstoken``: the tokens of the HTTP API."""

import json
import time

import click
from rich.console import Console
from rich.table import Table

from imaged.admin import tokens
from imaged.cli.context import Context
from imaged.model.codec import to_plain


@click.command("lstoken")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List the tokens of the HTTP API: their roles, until when they are good, and when they were last used."""
    found = tokens.every(context.desk)
    if as_json:
        click.echo(json.dumps(to_plain(found), indent=2))
    elif not found:
        click.echo("No tokens yet. `imaged addtoken NAME` makes one.")
    else:
        table = Table("token", "role", "made", "good until", "last used", box=None)
        for each in found:
            until = "removed" if each.expires is None else _shown(each.expires)
            table.add_row(each.name, each.role.value, _shown(each.created), until, _shown(each.used))
        Console(width=200).print(table)


def _shown(when: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when)) if when is not None else "-"
