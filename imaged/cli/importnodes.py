"""``imaged importnodes``: nodes and groups from files of other programs."""

import sys
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from imaged.admin import importing, ranges
from imaged.cli import setups
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.next_boot import AT_FIRST
from imaged.model.node import BootAction
from imaged.planning.layout_text import printable
from imaged.planning.roster.entries import Roster, merged
from imaged.planning.roster.ours import of_plain
from imaged.planning.roster.read import Form, read
from imaged.store import yamlfile

_LARGEST = 64 * 2**20  # bytes of a file


@click.command("importnodes")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--from", "form", type=click.Choice([each.value for each in Form]), default=Form.AUTO.value, show_default=True,
    help="What the files are; .yaml is told by its name.",
)  # fmt: skip
@click.option("--image", default="", help="Of nodes whose file names none: NAME, NAME@CHANNEL or NAME@VERSION.")
@click.option("--layout", default="", help="Of nodes whose file names none; else as their groups say, or one-disk.")
@click.option("--action", type=click.Choice([a.value for a in AT_FIRST]), default="local", show_default=True)
@click.option("--dry-run", is_flag=True, help="Print what would be defined.")
@click.pass_obj
def command(
    context: Context, files: tuple[Path, ...], form: str, image: str, layout: str, action: str, dry_run: bool
) -> None:
    """Define the nodes and groups of FILES: CSV or YAML as `imaged export` writes them, /etc/ethers, /etc/hosts, hosts
    of ISC's dhcpd.conf, C3's c3.conf, SystemImager's cluster.xml.

    Several files are put together by the nodes' names: ethers has MACs, hosts addresses, c3.conf groups. All of it is
    defined, or nothing; nodes that are there already are left as they are. They are not installed by this, unless
    --action says so.
    """
    roster = merged(_read(path, Form(form)) for path in files)
    prepared = importing.prepare(context.desk, roster, ImageRef.parse(image) if image else NO_IMAGE, layout)
    for names, why in ((prepared.without, "no file tells a MAC of them"), (prepared.there, "there already")):
        if names:
            click.echo(f"left out, {why}: {ranges.folded(names)}", err=True)
    for node in prepared.nodes:
        where = node.address or "an address of the pool"
        click.echo(f"{node.name}: {setups.said(node.setup, str(where), *map(str, node.macs))}")
    for group in prepared.groups:
        click.echo(f"group {group.name}: {setups.said(group.setup, f'priority {group.priority}')}")
    if not dry_run:
        importing.define(context.desk, prepared, BootAction(action))


def _read(path: Path, form: Form) -> Roster:
    roster = _yaml(path) if path.suffix in (".yaml", ".yml") else read(_text(path), form, str(path))
    for line, what in roster.notes:
        click.echo(printable(f"{path}: line {line}: {what}" if line else f"{path}: {what}"), err=True)
    return evolve(roster, notes=())


def _yaml(path: Path) -> Roster:
    try:
        return of_plain(yamlfile.load(path))
    except BadInput as error:
        raise BadInput(error.what, where=str(path), hint=error.hint) from None


def _text(path: Path) -> str:
    try:
        file: Any = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(content) > _LARGEST:
        raise BadInput("is too large for a list of nodes", where=str(path))
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError:
        raise BadInput("is not text", where=str(path)) from None
