"""``imaged rmuser``: take users of the web page away."""

import click

from imaged.admin import people
from imaged.cli.context import Context


@click.command("rmuser")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Take users away: they are logged out at once."""
    people.remove(context.desk, names)
    for name in dict.fromkeys(names):
        click.echo(f"{name}: removed")
