"""``imaged rmgroup``: forget groups."""

import click

from imaged.cli.context import Context
from imaged.store.database import open_database
from imaged.store.groups import Groups


@click.command("rmgroup")
@click.argument("names", nargs=-1, required=True, metavar="GROUP...")
@click.option("--force", is_flag=True, help="Also groups with nodes in them, which lose them.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], force: bool) -> None:
    """Forget GROUPs. The files of their overrides stay."""
    groups = Groups(open_database(context.state.database))
    for name in names:
        groups.get(name)  # all of them exist, or none is removed
    for name in names:
        groups.remove(name, force=force)
        click.echo(f"{name}: removed")
