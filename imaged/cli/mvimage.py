"""``imaged mvimage``: another name for an image."""

import click

from imaged.cli.context import Context
from imaged.model.errors import Conflict, NotFound
from imaged.model.names import image_name
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.usage import followers


@click.command("mvimage")
@click.argument("name")
@click.argument("target", metavar="NEW")
@click.pass_obj
def command(context: Context, name: str, target: str) -> None:
    """Rename the image NAME to NEW, with its versions and channels. Refused while a node uses it.

    Overrides of the image and a disk layout that is called as it is keep their names.
    """
    images = Images(context.state.images)
    image_name(target)
    if not images.numbers(name):
        raise NotFound(f"there is no image {name!r}", hint="`imaged lsimage` shows the images there are.")
    engine = open_database(context.state.database)
    for each in (name, target):  # a node that waits for an image of the new name must not be given this one
        if nodes := followers(engine, each):
            hint = "Give these nodes another image first."
            raise Conflict(f"is used by {', '.join(nodes)}", where=each, hint=hint)
    images.rename(name, target)
    click.echo(f"{name} is {target} now")
    for kept in (context.state.root / "overrides/image" / name, context.state.layouts / f"{name}.yaml"):
        if kept.exists():
            click.echo(f"{kept} keeps its name; `mv` it if it belongs to {target}.", err=True)
