"""``imaged addtoken``: make a token for the HTTP API."""

import time

import click

from imaged.admin import tokens
from imaged.admin.tokens import NewToken
from imaged.cli.context import Context
from imaged.model.access import Role


@click.command("addtoken")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.READ.value, show_default=True,
    help="read: look; operator: also boot, install and name machines; admin: also define.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(1), help="So long it is good; without: until it is removed.")
@click.pass_obj
def command(context: Context, name: str, role: str, days: int | None) -> None:
    """Make token NAME and print its secret, which nobody can tell again. Whoever has it may what its role may.

    Programs send it as `Authorization: Bearer SECRET`. What is changed by it is listed as done by token:NAME.
    """
    made = tokens.add(context.desk, NewToken(name, Role(role), days))
    click.echo(made.secret)
    until = time.strftime("until %Y-%m-%d %H:%M", time.localtime(made.expires)) if made.expires else "until removed"
    click.echo(f"{name}: {role}, good {until}. This is shown once.", err=True)
