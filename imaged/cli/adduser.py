"""``imaged adduser``: make a user of the web page."""

import click

from imaged.admin import people
from imaged.cli import passwords
from imaged.cli.context import Context
from imaged.model.access import Role


@click.command("adduser")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.READ.value, show_default=True,
    help="read: look; operator: also boot, install and name machines; admin: also define.",
)  # fmt: skip
@click.option("--stdin", "from_input", is_flag=True, help="The password is the first line of standard input.")
@click.pass_obj
def command(context: Context, name: str, role: str, from_input: bool) -> None:
    """Make user NAME, who logs in to the web page with a password and may there what the role may.

    What somebody changes there is listed as done by user:NAME. Programs take a token: `imaged addtoken`.
    """
    people.add(context.desk, name, Role(role), passwords.read(from_input=from_input))
    click.echo(f"{name}: {role}; {context.settings.base_url}/ is the page")
