"""``imaged cpushimage``: C3's name for ``imaged updateclient``."""

from typing import Any

import click

from imaged.cli import reach, updateclient
from imaged.cli.context import Context


@click.command("cpushimage")
@click.option("--nolilo", is_flag=True, help="Leave the boot loader and its menu alone.")
@click.option("--reboot", is_flag=True, help="Start the nodes again afterwards.")
@reach.options
@click.argument("nodes", metavar="NODES")
@click.pass_context
def command(called: click.Context, /, nodes: str, nolilo: bool, reboot: bool, **given: Any) -> None:
    """Bring NODES into step with their image, as `imaged updateclient` does; that one has more options."""
    assert isinstance(called.obj, Context)
    wanted = {"no_bootloader": nolilo, "reboot": "cold" if reboot else "never"}
    called.invoke(updateclient.command, nodes=(nodes,), **wanted, **given)
