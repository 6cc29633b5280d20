"""``imaged importnodes``: nodes and groups from files of other programs."""

import sys
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from imaged.cli import defining, reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.group import Group, group_name
from imaged.model.names import ImageRef, node_name
from imaged.model.node import BootAction, Node
from imaged.planning.layout_text import printable
from imaged.planning.roster.entries import Entry, Roster, merged
from imaged.planning.roster.lines import of_plain
from imaged.planning.roster.read import Form, read
from imaged.store import layouts, yamlfile
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.nodes import Nodes

_LARGEST = 64 * 2**20  # bytes of a file


@click.command("importnodes")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--from", "form", type=click.Choice([each.value for each in Form]), default=Form.AUTO.value, show_default=True,
    help="What the files are; .yaml is told by its name.",
)  # fmt: skip
@click.option("--image", default="", help="Of nodes whose file names none: NAME, NAME@CHANNEL or NAME@VERSION.")
@click.option("--layout", default="one-disk", show_default=True, help="Of nodes whose file names none.")
@click.option("--action", type=click.Choice([a.value for a in BootAction]), default="local", show_default=True)
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
    engine = open_database(context.state.database)
    store, groups = Nodes(engine), Groups(engine)
    known = {node.name for node in store.all()}
    fresh = [entry for entry in roster.entries if node_name(entry.name) not in known]
    without = [entry.name for entry in fresh if not entry.macs]
    for names, why in (
        (without, "no file tells a MAC of them"),
        (sorted({e.name for e in roster.entries} & known), "there already"),
    ):
        if names:
            click.echo(f"left out, {why}: {reach.folded(names)}", err=True)
    default = ImageRef.parse(image) if image else None
    nodes = [_node(context, entry, default, layout, BootAction(action)) for entry in fresh if entry.macs]
    for reference in {node.image for node in nodes}:
        Images(context.state.images).resolve(reference)
    for wanted in {node.layout for node in nodes}:
        layouts.find(context.state.layouts, wanted)
    there = {group.name for group in groups.all()}
    new_groups = [Group(group_name(name), priority) for name, priority in roster.groups if name not in there]
    for node in nodes:
        click.echo(
            f"{node.name}: {node.image}, {node.address or 'an address of the pool'}, {', '.join(map(str, node.macs))}"
        )
    for group in new_groups:
        click.echo(f"group {group.name}: priority {group.priority}")
    if dry_run:
        return
    store.add_all(nodes)
    for group in new_groups:
        groups.add(group)
    members = {entry.name: entry.groups for entry in fresh}
    for node in nodes:
        groups.put(node.name, members[node.name])


def _node(context: Context, entry: Entry, default: ImageRef | None, layout: str, action: BootAction) -> Node:
    if not entry.image and default is None:
        raise BadInput("no file tells its image", where=entry.name, hint="Give one for all such nodes: --image.")
    image = ImageRef.parse(entry.image) if entry.image else default
    assert image is not None
    address = defining.address(str(entry.address), context.settings) if entry.address else None
    return Node(
        entry.name, entry.macs, image, layout=entry.layout or layout, uuid=defining.uuid(entry.uuid), address=address,
        console=defining.console(entry.console), action=action,
    )  # fmt: skip


def _read(path: Path, form: Form) -> Roster:
    roster = of_plain(yamlfile.load(path)) if path.suffix in (".yaml", ".yml") else read(_text(path), form, str(path))
    for line, what in roster.notes:
        click.echo(printable(f"{path}: line {line}: {what}" if line else f"{path}: {what}"), err=True)
    return evolve(roster, notes=())


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
