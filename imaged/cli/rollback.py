"""``imaged rollback``: let a channel mean what it meant before."""

import click

from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.names import ImageRef
from imaged.store.images import Images


@click.command("rollback")
@click.argument("image", metavar="IMAGE[@CHANNEL]")
@click.pass_obj
def command(context: Context, image: str) -> None:
    """Move CHANNEL (stable without one) of IMAGE back to the version that it meant before. No version is lost."""
    ref = ImageRef.parse(image)
    if ref.version:
        raise BadInput(f"{image} is a version, and only channels move", hint=f"Name a channel: {ref.image}@stable.")
    left, version = Images(context.state.images).rollback(ref.image, ref.channel)
    click.echo(f"{ref.image}@{ref.channel}: from version {left} back to {version.number} ({version.origin})")
    click.echo("`imaged updateclient` brings nodes there.")
