"""``imaged mvimage``: another name for an image."""

import click

from imaged.cli.context import Context
from imaged.model.errors import Conflict
from imaged.model.names import image_name
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.usage import users


@click.command("mvimage")
@click.argument("name")
@click.argument("target", metavar="NEW")
@click.pass_obj
def command(context: Context, name: str, target: str) -> None:
    """Rename the image NAME to NEW, with its versions and channels. Refused while a node uses it."""
    images = Images(context.state.images)
    by = users(open_database(context.state.database), images)
    words = sorted({word for ref, nodes in by.items() if ref.partition("@")[0] == name for word in nodes})
    if words:
        raise Conflict(f"is used by {', '.join(words)}", where=name, hint="Give these nodes another image first.")
    images.rename(image_name(name), target)
    click.echo(f"{name} is {target} now")
