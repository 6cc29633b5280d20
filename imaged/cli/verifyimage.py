"""``imaged verifyimage``: read a version back and compare every path with its manifest."""

import os

import click
from rich.console import Console

from imaged.cli.context import Context
from imaged.model.errors import Denied, ImagedError, NotFound
from imaged.model.names import ImageRef
from imaged.store import changes, seal
from imaged.store.images import Images
from imaged.store.manifest import Entry
from imaged.store.shown import shown

_SHOWN = 50  # damaged paths of a version


@click.command("verifyimage")
@click.argument("names", nargs=-1, metavar="[IMAGE[@VERSION]]...")
@click.pass_obj
def command(context: Context, names: tuple[str, ...]) -> None:
    """Read every file of IMAGE@VERSION back (all versions of IMAGE, or of all images) and say what is damaged.

    Everything in the manifest is compared: type, content, owner, mode, time, extended attributes, links, devices.
    Exit code 0: all is as sealed; 1: something is damaged.
    """
    if os.geteuid() != 0:
        raise Denied("only root can read all of an image", hint="Run it with sudo.")
    images = Images(context.state.images)
    damaged = [f"{name}@{number}" for name, number in _wanted(images, names) if not _is_as_sealed(images, name, number)]
    if damaged:
        hint = "Nodes refuse its damaged files. Build or capture it again, then `imaged rmimage`."
        raise ImagedError("damaged", where=", ".join(damaged), hint=hint)


def _is_as_sealed(images: Images, name: str, number: int) -> bool:
    """Say it as well. What is wrong with one version keeps nobody from looking at the next."""
    ref = f"{name}@{number}"
    console = Console(stderr=True, highlight=False)
    try:
        with console.status(f"{ref} ..."):
            version = images.resolve(ImageRef(name, version=number))
            entries = images.entries(version)
            found = unlike(entries, seal.read_tree(images.tree(version)).entries)
    except ImagedError as error:
        click.echo(f"{ref}: {error}")
        return False
    except OSError as error:
        click.echo(f"{ref}: {shown(os.fsdecode(error.filename or ''))}: {error.strerror}")
        return False
    if found:
        click.echo(f"{ref}: {len(found)} {'path is' if len(found) == 1 else 'paths are'} damaged")
    else:
        click.echo(f"{ref}: {len(entries)} paths are as sealed")
    for path, what in found[:_SHOWN]:
        click.echo(f"  {shown(f'/{path}')}  ({', '.join(what)})")
    if len(found) > _SHOWN:
        click.echo(f"  and {len(found) - _SHOWN} more")
    return not found


def unlike(sealed: tuple[Entry, ...], found: tuple[Entry, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Paths that are not exactly as they were sealed, and in what; those that are new come last."""
    there = {entry.path: entry for entry in found}
    known = {entry.path for entry in sealed}
    rows: list[tuple[str, tuple[str, ...]]] = []
    for entry in sealed:
        now = there.get(entry.path)
        if now is None:
            rows.append((entry.path, ("is gone",)))
        elif now != entry:
            # Times of directories and who is whose hard link say little between two versions; here they must be equal.
            rest = ("time",) if now.time != entry.time else ("links",)
            rows.append((entry.path, changes.reasons(entry, now) or rest))
    return rows + [(entry.path, ("is new",)) for entry in found if entry.path not in known]


def _wanted(images: Images, names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Numbers only: a version whose facts are damaged is one to be told of."""
    found: list[tuple[str, int]] = []
    for text in names or images.names():
        ref = ImageRef.parse(text)
        numbers = images.numbers(ref.image)
        if not numbers:
            raise NotFound(f"there is no image {ref.image!r}", hint="`imaged lsimage` shows the images there are.")
        if "@" in text:
            numbers = (ref.version,) if ref.version in numbers and ref.version else (images.resolve(ref).number,)
        found += [(ref.image, number) for number in numbers]
    return list(dict.fromkeys(found))
