"""``imaged cshutdown``: switch many nodes off, or start them again."""

from typing import Any

import click

from imaged.cli import cluster
from imaged.cli.context import Context
from imaged.planning.cluster import shutdown


@click.command("cshutdown")
@click.option("--reboot", "-r", "what", flag_value="--reboot", help="Start them again.")
@click.option("--halt", "-H", "what", flag_value="--halt", help="Stop them, leave the power on.")
@click.option("--poweroff", "what", flag_value="--poweroff", default="--poweroff", help="Switch them off; the default.")
@click.option("--onreboot", default="", metavar="ENTRY", help="GRUB's entry for the next start, once; with --reboot.")
@click.option("--message", "-m", default="", help="For those who are logged in.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("when", default="now", metavar="[TIME]")
@click.pass_obj
def command(
    context: Context, /, nodes: str, when: str, what: str, onreboot: str, message: str, yes: bool, **given: Any
) -> None:
    """Shut NODES down, now or at TIME (+5 minutes, 23:30), after a question."""
    line = shutdown(what, when, message, onreboot)
    confirm = "" if yes else f"{what.removeprefix('--').capitalize()}, {when},"
    cluster.run(context, (nodes,), line, given, confirm=confirm)
