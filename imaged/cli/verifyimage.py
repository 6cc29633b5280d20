"""``imaged verifyimage``: read a version back and compare every path with its manifest."""

import os

import click
from rich.console import Console

from imaged.cli.context import Context
from imaged.cli.diffimage import different
from imaged.model.errors import Denied, ImagedError
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store import seal
from imaged.store.images import Images

_SHOWN = 50  # damaged paths of a version


@click.command("verifyimage")
@click.argument("names", nargs=-1, metavar="[IMAGE[@VERSION]]...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Read every file of IMAGE@VERSION back (all versions of IMAGE, or of all images) and say what is damaged."""
    if os.geteuid() != 0:
        raise Denied("only root can read all of an image", hint="Run it with sudo.")
    images = Images(context.state.images)
    console = Console(stderr=True, highlight=False)
    damaged = []
    for version in _wanted(images, names):
        with console.status(f"{version.ref} ...") if console.is_terminal else console.status(""):
            found = different(images.entries(version), seal.read_tree(images.tree(version)).entries)
        click.echo(
            f"{version.ref}: {f'{len(found)} paths are damaged' if found else f'{version.entries} paths are as sealed'}"
        )
        for change, path, what in found[:_SHOWN]:
            word = {"add": "is new", "delete": "is gone"}.get(change, ", ".join(what))
            click.echo(f"  /{path.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')}  ({word})")
        damaged += [version.ref] if found else []
    if damaged:
        raise ImagedError(
            "damaged", where=", ".join(damaged), hint="Nodes refuse its damaged files. Build or capture it again."
        )


def _wanted(images: Images, names: tuple[str, ...]) -> tuple[Version, ...]:
    if not names:
        return images.all()
    found: list[Version] = []
    for name in names:
        ref = ImageRef.parse(name)
        found += [images.resolve(ref)] if "@" in name else images.versions(images.resolve(ref).image)
    return tuple(found)
