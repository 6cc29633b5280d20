"""``imaged lsimage``: images, their versions and channels."""

import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.errors import NotFound
from imaged.model.image import Version
from imaged.model.names import image_name
from imaged.model.size import format_size
from imaged.store.images import Images

_PIPED = 250  # columns


@click.command("lsimage")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@click.pass_obj
def command(context: Context, name: str | None, as_json: bool) -> None:
    """List every version of image NAME (of all images without a name)."""
    images = Images(context.state.images)
    versions = images.versions(image_name(name)) if name else images.all()
    if name and not versions:
        known = ", ".join(images.names())
        raise NotFound(f"there is no image {name!r}", hint=f"There are: {known}." if known else "There is none yet.")
    if as_json:
        click.echo(json.dumps([_plain(images, version) for version in versions], indent=2))
    elif versions:
        _show(images, versions)
    else:
        click.echo("No images yet. `imaged buildimage debian-12 --root-key ~/.ssh/id_ed25519.pub` builds one.")


def _plain(images: Images, version: Version) -> dict[str, object]:
    return {**to_plain(version), "channels": _channels(images, version), "tree": str(images.tree(version))}


def _channels(images: Images, version: Version) -> list[str]:
    return [channel for channel, number in images.channels(version.image).items() if number == version.number]


def _show(images: Images, versions: tuple[Version, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("image", "version", "channels", "created", "size", "entries", "system", "arch"):
        table.add_column(title, justify="right" if title in ("version", "size", "entries") else "left", no_wrap=True)
    table.add_column("origin", overflow="fold")
    for version in versions:
        table.add_row(
            version.image,
            str(version.number),
            " ".join(_channels(images, version)) or "-",
            version.created[:16].replace("T", " "),
            format_size(version.bytes),
            str(version.entries),
            f"{version.facts.os_id} {version.facts.os_version}".strip() or "-",
            version.facts.arch or "-",
            Text(version.origin),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED)  # whoever reads a pipe wants whole words
    console.print(table)
