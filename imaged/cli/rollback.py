"""``imaged rollback``: let a channel mean what it meant before."""

import click

from imaged.admin import images
from imaged.cli.context import Context
from imaged.model.names import ImageRef


@click.command("rollback")
@click.argument("image", metavar="IMAGE[@CHANNEL]")
@click.pass_obj
def command(context: Context, image: str) -> None:
    """Move CHANNEL (stable without one) of IMAGE back to the version that it meant before. No version is lost."""
    moved = images.roll_back(context.desk, ImageRef.parse(image))
    now = moved.version
    click.echo(f"{now.image}@{moved.channel}: from version {moved.before} back to {now.number} ({now.origin})")
    click.echo("`imaged updateclient` brings nodes there.")
