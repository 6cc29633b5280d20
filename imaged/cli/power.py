"""``imaged power``: switch nodes on and off through their BMCs."""

from typing import Any

import click

from imaged.admin import power, ranges
from imaged.cli import powering
from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.model.errors import BadInput, NotFound
from imaged.model.power import STARTING, PowerAction

_ASKED = (PowerAction.OFF, PowerAction.SOFT, PowerAction.CYCLE, PowerAction.RESET)


@click.command("power")
@click.argument("nodes", metavar="NODES")
@click.argument("action", type=click.Choice([action.value for action in PowerAction]))
@click.option("--network", is_flag=True, help="With on, cycle and reset: they start from the network, once.")
@powering.options
@click.pass_obj
def command(context: Context, /, nodes: str, action: str, network: bool, yes: bool, **given: Any) -> None:
    """Ask for the power of NODES (node01, node[01-64], @rack1), or switch it; equal answers are shown once.

    `soft` asks their systems to shut down, `cycle` is off and on again, or on. Nodes that nothing was said of
    (`imaged setpower`) can be woken by `on`, with a magic packet. Exit code 1 when it failed anywhere.
    """
    wanted, limits, book = PowerAction(action), powering.take(given), powering.Book()
    if network and wanted not in STARTING:
        raise BadInput(f"nothing starts by {action}", where="--network")
    found = ranges.named(context.desk, (nodes,))
    if not found:
        raise NotFound("there are no such nodes", where=nodes)
    with cleared_away(), book.told():
        if wanted in _ASKED and not yes:
            found = powering.asked(context.desk, found, wanted, limits, book)
        power.switch(context.desk, found, wanted, limits, network=network, on_ended=book.hear)
