"""``imaged lsimage``: images, their versions, channels, who uses them, and what they cost."""

import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import image_name
from imaged.model.size import format_size
from imaged.store import edits, storage
from imaged.store.images import Images
from imaged.store.usage import users

_PIPED = 250  # columns
_NONE = "No images yet. `imaged buildimage debian-12 --root-key ~/.ssh/id_ed25519.pub` builds one."


@click.command("lsimage")
@click.argument("name", required=False)
@click.option("--storage", "measured", is_flag=True, help="Measure what each takes of the disk; looks at every file.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@click.pass_obj
def command(context: Context, name: str | None, measured: bool, as_json: bool) -> None:
    """List every version of image NAME (of all images without a name), and which nodes use it.

    With --storage: `own` comes back when that version is removed, `shared` lies in another version of the image too.
    """
    images = Images(context.state.images)
    names = (image_name(name),) if name else images.names()
    unfinished = [each for each in images.unfinished() if name in (None, each)]
    if name and not images.numbers(name) and not unfinished:
        known = ", ".join(images.names())
        raise NotFound(f"there is no image {name!r}", hint=f"There are: {known}." if known else "There is none yet.")
    versions, damaged = _readable(images, names)
    used = users(context.engine, images) if versions else {}
    costs = {version.ref: storage.measure(images.tree(version)) for version in versions if measured}
    if as_json:
        click.echo(json.dumps([_plain(images, version, used, costs) for version in versions], indent=2))
    elif versions:
        _show(images, versions, used, costs)
    elif not unfinished:
        click.echo(_NONE)
    for line in (*_left(images, names), *map(_unfinished, unfinished)):
        click.echo(line, err=True)
    if damaged:
        raise damaged[0]


def _readable(images: Images, names: tuple[str, ...]) -> tuple[list[Version], list[ImagedError]]:
    """A damaged version hides no other."""
    versions: list[Version] = []
    damaged: list[ImagedError] = []
    for name in names:
        for number in images.numbers(name):
            try:
                versions.append(images.version(name, number))
            except ImagedError as error:
                hint = error.hint or f"`imaged rmimage {name}@{number}` removes this version."
                damaged.append(BadInput(error.what, where=error.where, hint=hint))
    return versions, damaged


def _plain(
    images: Images, version: Version, used: dict[str, tuple[str, ...]], costs: dict[str, storage.Storage]
) -> dict[str, object]:
    plain: dict[str, object] = {
        **to_plain(version),
        "channels": _channels(images, version),
        "users": list(used.get(version.ref, ())),
        "tree": str(images.tree(version)),
    }
    if cost := costs.get(version.ref):
        plain |= {"own_bytes": cost.own, "shared_bytes": cost.shared}
    return plain


def _channels(images: Images, version: Version) -> list[str]:
    return [channel for channel, number in images.channels(version.image).items() if number == version.number]


def _show(
    images: Images, versions: list[Version], used: dict[str, tuple[str, ...]], costs: dict[str, storage.Storage]
) -> None:
    table = Table(box=None, pad_edge=False)
    titles = ("image", "version", "channels", "created", "size", *(("own", "shared") if costs else ()), "used by")
    for title in titles:
        left = title in ("image", "channels", "created", "used by")
        table.add_column(title, justify="left" if left else "right", no_wrap=left and title != "channels")
    table.add_column("system", overflow="fold")
    table.add_column("origin", overflow="fold")
    for version in versions:
        facts, cost = version.facts, costs.get(version.ref)
        table.add_row(
            version.image,
            str(version.number),
            " ".join(_channels(images, version)) or "-",
            version.created[:16].replace("T", " "),
            format_size(version.bytes),
            *((format_size(cost.own), format_size(cost.shared)) if cost else ()),
            _users(used.get(version.ref, ())),
            f"{facts.os_id} {facts.os_version} {facts.arch}".strip() or "-",
            Text(version.origin),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED)  # whoever reads a pipe wants whole words
    console.print(table)


def _users(words: tuple[str, ...]) -> str:
    """One by name, more as a count: the table must stay narrow."""
    names = sorted({word.partition(" ")[0] for word in words})
    return names[0] if len(names) == 1 else f"{len(names)} nodes" if names else "-"


def _left(images: Images, names: tuple[str, ...]) -> list[str]:
    marks = [(name, edits.mark(images, name)) for name in names]
    return [
        f"{name}: {mark.who} keeps an edited copy of version {mark.base} since {mark.since}; `imaged enter {name}`"
        for name, mark in marks
        if mark
    ]


def _unfinished(name: str) -> str:
    return f"{name}: begun and not finished; the same command goes on or begins anew, `imaged rmimage {name}` clears it"
