"""``imaged cpimage``: a new image that begins as a copy of a version."""

import click

from imaged import process
from imaged.cli.context import Context
from imaged.model.errors import Conflict
from imaged.model.names import DEFAULT_CHANNEL, ImageRef, image_name
from imaged.store.images import Images


@click.command("cpimage")
@click.argument("source", metavar="IMAGE[@VERSION]")
@click.argument("target", metavar="NAME")
@click.pass_obj
def command(context: Context, source: str, target: str) -> None:
    """Make the image NAME from one version of another. Storage is shared where the filesystem can."""
    images = Images(context.state.images)
    version = images.resolve(ImageRef.parse(source))
    if images.versions(image_name(target)):
        raise Conflict(f"there is an image {target!r} already", hint="Choose another name, or remove it first.")
    with images.working(target) as working:
        process.run(("cp", "-a", "--reflink=auto", f"{images.tree(version)}/.", str(working.tree)))
        made = images.seal(working, origin=f"copy of {version.ref}: {version.origin}", recipe=version.recipe)
    images.publish(made, DEFAULT_CHANNEL)
    click.echo(f"{made.ref} is {DEFAULT_CHANNEL} now, a copy of {version.ref}")
