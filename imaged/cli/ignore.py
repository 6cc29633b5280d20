"""``imaged ignore``: machines that are never offered."""

import click

from imaged.cli import naming
from imaged.cli.context import Context


@click.command("ignore")
@click.argument("machines", nargs=-1, required=True, metavar="MACHINES...")
@click.option("--undo", is_flag=True, help="Offer them again.")
@click.pass_obj
def command(context: Context, machines: tuple[str, ...], undo: bool) -> None:
    """Never offer MACHINES (MACs, serial numbers) for a name: neither rules nor `imaged collect` take them, and they
    are asked nothing.
    """
    store = context.desk.machines
    found = naming.meant(store.nobodys(), machines)
    store.ignore([each.mac for each in found], ignored=not undo)
    for each in found:
        click.echo(f"{each.mac}: {'offered again' if undo else 'ignored'}")
