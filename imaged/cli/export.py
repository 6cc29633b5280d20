"""``imaged export``: files that tell other programs of our nodes."""

from pathlib import Path

import click

from imaged.cli import reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.node import Node
from imaged.planning.naming import FORMS, Named, write
from imaged.planning.roster.entries import Entry
from imaged.planning.roster.lines import write_values, write_yaml
from imaged.store import durable
from imaged.store.database import open_database
from imaged.store.groups import Groups

_WHOLE = {"csv": write_values, "yaml": write_yaml}


@click.command("export")
@click.argument("form", type=click.Choice((*FORMS, *_WHOLE)))
@click.option("--nodes", default="@*", show_default=True, metavar="NODES", help="Only these.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write this file, at once.")
@click.pass_obj
def command(context: Context, form: str, nodes: str, output: Path | None) -> None:
    """Print nodes as hosts(5), ethers(5), DNS records (zone, reverse-zone), as csv or yaml for `imaged importnodes`, or
    as the configuration of ISC's dhcpd, Kea or dnsmasq for a site that keeps its own DHCP server.

    Such a server sends machines to this one for their boot loaders; `dhcp.mode: proxy` does that beside any other
    server without a change there.
    """
    engine = open_database(context.state.database)
    wanted = reach.named(engine, (nodes,))
    if form in _WHOLE:
        groups = Groups(engine)
        text = _WHOLE[form](_entry(node, groups.of(node.name)) for node in wanted)
    else:
        text = write(form, [Named(node.name, node.macs, node.address) for node in wanted], context.settings)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        durable.write_file(output, text)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(output)) from None
    click.echo(f"{output}: {len(wanted)} nodes", err=True)


def _entry(node: Node, groups: tuple[str, ...]) -> Entry:
    return Entry(
        node.name, node.macs, node.address, groups, str(node.image), node.layout, node.console, node.uuid
    )  # fmt: skip
