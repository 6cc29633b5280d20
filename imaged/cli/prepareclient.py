"""``imaged prepareclient``: for golden clients without sshd, a temporary rsync daemon."""

import os
from ipaddress import ip_address

import click

from imaged import process
from imaged.cli.context import Context
from imaged.model.errors import BadInput, Denied
from imaged.planning.capture_daemon import DEFAULT_PORT, script

_LONGEST = 7 * 24 * 60  # minutes


@click.command("prepareclient")
@click.option("--server", help="The address from which the image server comes; as the settings say without it.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Where it listens."
)
@click.option(
    "--timeout", "minutes", type=click.IntRange(1, _LONGEST), default=60, show_default=True,
    help="Minutes after which it ends, captured or not.",
)  # fmt: skip
@click.option("--run", is_flag=True, help="Run it on this machine, instead of printing it.")
@click.pass_obj
def command(context: Context, server: str | None, port: int, minutes: int, run: bool) -> int:
    """Print a shell script for a golden client that cannot be reached by ssh.

    Run as root there, it opens an rsync daemon that lets nobody but the image server in, read only, and ends by itself.
    The golden client needs rsync and a shell; carry the script there in any way. Then, on the server:
    `imaged getimage rsync://HOST:8730 --image NAME`.
    """
    try:
        address = ip_address(server or str(context.settings.address))
    except ValueError:
        hint = "Write it like 10.0.0.1: a name could be somebody else's tomorrow."
        raise BadInput(f"{server!r} is not an address", hint=hint) from None
    text = script(address, port, minutes * 60)
    if not run:
        click.echo(text, nl=False)
        return 0
    if os.geteuid() != 0:
        raise Denied("only root can read every file", hint="Run it with sudo.")
    return process.attach(("sh", "-c", text))
