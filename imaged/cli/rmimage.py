"""``imaged rmimage``: remove versions, or whole images."""

import click

from imaged.cli.context import Context
from imaged.model.errors import Conflict, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.usage import busy, users


@click.command("rmimage")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE[@VERSION]...")
@click.option("--force", is_flag=True, help="Also what nodes use, but never what one copies at this moment.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], force: bool) -> None:
    """Remove versions (compute@3), or images with all their versions (compute). All of them, or none.

    Refused for what a node is to run, runs or copies, and for a version that a channel means.
    """
    images, engine = Images(context.state.images), open_database(context.state.database)
    wanted = [(text, _versions(images, text)) for text in names]
    used, copying = users(engine, images), busy(engine)
    for text, versions in wanted:
        for version in versions:
            _refuse(images, version, whole="@" not in text, used=() if force else used.get(version.ref, ()),
                    copying=copying.get(version.ref, ()))  # fmt: skip
    for text, versions in wanted:
        if "@" not in text:
            images.remove_image(text)
        else:
            images.remove(versions[0])
        click.echo(f"{text}: removed")


def _versions(images: Images, text: str) -> tuple[Version, ...]:
    if "@" in text:
        return (images.resolve(ImageRef.parse(text)),)
    versions = images.versions(ImageRef.parse(text).image)
    if not versions:
        raise NotFound(f"there is no image {text!r}", hint="`imaged lsimage` shows the images there are.")
    return versions


def _refuse(images: Images, version: Version, *, whole: bool, used: tuple[str, ...], copying: tuple[str, ...]) -> None:
    if copying:
        raise Conflict(f"is being copied by {', '.join(copying)}", where=version.ref, hint="Wait until that is done.")
    if used:
        hint = "Give these nodes another image first, or remove it all the same with --force."
        raise Conflict(f"is used by {', '.join(used)}", where=version.ref, hint=hint)
    meant = [channel for channel, number in images.channels(version.image).items() if number == version.number]
    if meant and not whole:
        hint = f"`imaged publish {version.image}@N {meant[0]}` moves it first."
        raise Conflict(f"is what the channel {meant[0]} means", where=version.ref, hint=hint)
