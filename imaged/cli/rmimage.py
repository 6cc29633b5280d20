"""``imaged rmimage``: remove versions, or whole images."""

import click

from imaged.cli.context import Context
from imaged.model.errors import Conflict, NotFound
from imaged.model.names import ImageRef
from imaged.store import edits
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.usage import busy, users


@click.command("rmimage")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE[@VERSION]...")
@click.option(
    "--force", is_flag=True, help="Also what nodes use or somebody edits, but never what one copies just now."
)
@click.pass_obj
def command(context: Context, names: tuple[str, ...], force: bool) -> None:
    """Remove versions (compute@3), or images with all their versions (compute). All of them, or none.

    Refused for what a node is to run, runs or copies, for a version that a channel means, and for one that somebody
    keeps an edited copy of. An interrupted capture of an image that has no version yet is removed by its name as well.
    """
    images = Images(context.state.images)
    wanted = {text: _numbers(images, text) for text in names}
    engine = open_database(context.state.database)
    used, copying = users(engine, images), busy(engine)
    for text, numbers in wanted.items():
        name = text.partition("@")[0]
        for number in numbers:
            ref = f"{name}@{number}"
            if nodes := copying.get(ref):
                raise Conflict(f"is being copied by {', '.join(nodes)}", where=ref, hint="Wait until that is done.")
            if ref in used and not force:
                hint = "Give these nodes another image first, or remove it all the same with --force."
                raise Conflict(f"is used by {', '.join(used[ref])}", where=ref, hint=hint)
        _refuse_meant(images, name, numbers, whole="@" not in text)
        if not force:
            _refuse_edited(images, name, numbers)
    gone: set[str] = set()
    for text, numbers in wanted.items():
        name = text.partition("@")[0]
        if "@" not in text:
            images.remove_image(text)
        elif name not in wanted and (ref := f"{name}@{numbers[0]}") not in gone:  # else it goes with its image
            images.remove(name, numbers[0])
            gone.add(ref)
        click.echo(f"{text}: removed")


def _numbers(images: Images, text: str) -> tuple[int, ...]:
    """Also of versions that are damaged."""
    ref = ImageRef.parse(text)
    numbers = images.numbers(ref.image)
    if "@" not in text:
        if not numbers and ref.image not in images.unfinished():
            raise NotFound(f"there is no image {text!r}", hint="`imaged lsimage` shows the images there are.")
        return numbers
    number = ref.version or images.channels(ref.image).get(ref.channel)
    return (number,) if number in numbers and number else (images.resolve(ref).number,)


def _refuse_meant(images: Images, name: str, numbers: tuple[int, ...], *, whole: bool) -> None:
    meant = [channel for channel, number in images.channels(name).items() if number in numbers]
    if meant and not whole:
        hint = f"`imaged publish {name}@N {meant[0]}` moves it first."
        raise Conflict(f"is what the channel {meant[0]} means", where=f"{name}@{numbers[0]}", hint=hint)


def _refuse_edited(images: Images, name: str, numbers: tuple[int, ...]) -> None:
    copy = edits.mark(images, name)
    if copy and copy.base in numbers:
        hint = (
            f"`imaged enter {name}` goes on with it; --force removes what it is a copy of, and with an image the copy."
        )
        raise Conflict(f"{copy.who} keeps an edited copy since {copy.since}", where=f"{name}@{copy.base}", hint=hint)
