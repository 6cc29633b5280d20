"""``imaged rmtoken``: take tokens of the HTTP API away."""

import click

from imaged.admin import tokens
from imaged.cli.context import Context


@click.command("rmtoken")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Take tokens away: whoever has one is nobody from now on."""
    tokens.remove(context.desk, names)
    for name in dict.fromkeys(names):
        click.echo(f"{name}: removed")
