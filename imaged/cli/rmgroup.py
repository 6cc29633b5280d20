"""``imaged rmgroup``: forget groups."""

import click

from imaged.admin import groups
from imaged.cli import setups
from imaged.cli.context import Context


@click.command("rmgroup")
@click.argument("names", nargs=-1, required=True, metavar="GROUP...")
@click.option("--force", is_flag=True, help="Also groups with nodes in them, which lose them.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], force: bool) -> None:
    """Forget GROUPs, and say what nodes are without them. The files of their overrides stay."""
    effects = groups.remove(context.desk, names, force=force)
    for name in names:
        click.echo(f"{name}: removed")
    setups.tell(effects)
