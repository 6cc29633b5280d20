"""``imaged pruneimage``: remove the versions that nobody needs any more."""

import click

from imaged.cli.context import Context
from imaged.model.errors import NotFound
from imaged.model.names import image_name
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.usage import users


@click.command("pruneimage")
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.option("--keep", type=click.IntRange(0), default=3, show_default=True, help="The newest so many stay.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would go; remove nothing.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], keep: int, dry_run: bool) -> None:
    """Remove old versions of IMAGEs (of all without a name): all but the newest, and what is used.

    What a channel means, what it meant just before, and what a node is to run, runs or copies stays whatever its age.
    """
    images = Images(context.state.images)
    used = users(open_database(context.state.database), images)
    for name in names or images.names():
        versions = images.versions(image_name(name))
        if not versions:
            raise NotFound(f"there is no image {name!r}", hint="`imaged lsimage` shows the images there are.")
        meant = {number for history in images.histories(name).values() for number in history[:2]}
        newest = {version.number for version in versions[len(versions) - keep :]} if keep else set()
        for version in versions:
            if version.number in meant | newest or used.get(version.ref):
                continue
            if not dry_run:
                images.remove(version)
            click.echo(f"{version.ref}: {'would be removed' if dry_run else 'removed'} ({version.origin})")
