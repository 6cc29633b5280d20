"""``imaged rmmachine``: forget machines that were seen."""

import click

from imaged.cli import naming
from imaged.cli.context import Context


@click.command("rmmachine")
@click.argument("machines", nargs=-1, required=True, metavar="MACHINES...")
@click.pass_obj
def command(context: Context, machines: tuple[str, ...]) -> None:
    """Forget MACHINES (MACs, serial numbers) with all that they told. One that boots again is seen anew: see `imaged
    ignore` for those that never shall.
    """
    store = context.desk.machines
    found = naming.meant(store.all(), machines)
    store.remove([each.mac for each in found])
    for each in found:
        click.echo(f"{each.mac}: forgotten")
