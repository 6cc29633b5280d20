"""``imaged publish``: let a channel mean another version."""

import click

from imaged.admin import images
from imaged.cli.context import Context
from imaged.model.names import DEFAULT_CHANNEL, ImageRef


@click.command("publish")
@click.argument("version", metavar="IMAGE@VERSION")
@click.argument("channel", default=DEFAULT_CHANNEL)
@click.pass_obj
def command(context: Context, version: str, channel: str) -> None:
    """Let CHANNEL (stable without a name) of an image mean IMAGE@VERSION from now on."""
    wanted = images.publish(context.desk, ImageRef.parse(version), channel)
    click.echo(f"{wanted.ref} is {channel} now")
