"""``imaged install``: let nodes be installed at their next network boot, or now."""

from typing import Any

import click

from imaged.admin import boot, power, ranges
from imaged.cli import powering, wishing
from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.model.errors import NotFound
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction
from imaged.model.power import PowerAction


@click.command("install")
@click.argument("nodes", metavar="NODES")
@click.option(
    "--power", "now", is_flag=True, help="Now: off and on again, from the network; woken where there is no BMC."
)
@wishing.options
@powering.options
@click.pass_obj
def command(context: Context, /, nodes: str, now: bool, yes: bool, **given: Any) -> None:
    """Let NODES (node01, node[01-64], @rack1) be installed at their next network boot; with --power now.

    A node whose power could not be switched boots as it would have. What --power needs to know: `imaged setpower`.
    """
    wishes, limits, book = wishing.take(given), powering.take(given), powering.Book()
    found = ranges.named(context.desk, (nodes,))
    if not found:
        raise NotFound("there are no such nodes", where=nodes)
    if not now:
        for name, booting in boot.choose(context.desk, (nodes,), NextBoot(BootAction.INSTALL), wishes=wishes):
            click.echo(f"{name}: next network boot: {booting}{wishing.told(wishes)}")
        return
    with cleared_away(), book.told(lambda text: f"next network boot: install{wishing.told(wishes)}; {text}"):
        if not yes:
            found = powering.asked(context.desk, found, PowerAction.CYCLE, limits, book)
        if found:
            power.install(context.desk, found, limits, wishes, on_ended=book.hear)
