"""``imaged passwd``: give a user of the web page another password."""

import click

from imaged.admin import people
from imaged.cli import passwords
from imaged.cli.context import Context


@click.command("passwd")
@click.argument("name")
@click.option("--stdin", "from_input", is_flag=True, help="The password is the first line of standard input.")
@click.pass_obj
def command(context: Context, name: str, from_input: bool) -> None:
    """Give user NAME another password. Whoever is logged in with the old one is logged out."""
    people.set_password(context.desk, name, passwords.read(from_input=from_input))
    click.echo(f"{name}: has another password")
