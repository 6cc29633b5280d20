"""``imaged cpimage``: a new image that begins as a copy of a version."""

import os

import click

from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.model.errors import Conflict, Denied
from imaged.model.names import DEFAULT_CHANNEL, ImageRef, image_name


@click.command("cpimage")
@click.argument("source", metavar="IMAGE[@VERSION]")
@click.argument("target", metavar="NAME")
@click.pass_obj
def command(context: Context, source: str, target: str) -> None:
    """Make the image NAME from one version of another. Storage is shared where the filesystem can (btrfs, XFS)."""
    images = context.desk.images
    version = images.resolve(ImageRef.parse(source))
    if images.numbers(image_name(target)):
        raise Conflict(f"there is an image {target!r} already", hint="Choose another name, or remove it first.")
    if os.geteuid() != 0:
        raise Denied("only root can make an image: its files belong to many users", hint="Run it with sudo.")
    with cleared_away():
        click.echo("Copying ...", err=True)
        with images.working(target, copy_of=version) as working:
            origin = f"copy of {version.ref}: {version.origin}"
            made = images.seal(working, origin=origin, recipe=version.recipe, base=version, exactly=True)
        images.publish(made, DEFAULT_CHANNEL)
    click.echo(f"{made.ref} is {DEFAULT_CHANNEL} now, a copy of {version.ref}")
