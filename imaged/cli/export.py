"""``imaged export``: files that tell other programs of our nodes."""

from pathlib import Path

import click

from imaged.cli import reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.planning.naming import FORMS, Named, write
from imaged.store.database import open_database


@click.command("export")
@click.argument("form", type=click.Choice(tuple(FORMS)))
@click.option("--nodes", default="@*", show_default=True, metavar="NODES", help="Only these.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write this file, at once.")
@click.pass_obj
def command(context: Context, form: str, nodes: str, output: Path | None) -> None:
    """Print nodes as hosts(5), ethers(5), DNS records (zone, reverse-zone), or as the configuration of ISC's dhcpd, Kea
    or dnsmasq for a site that keeps its own DHCP server.

    Such a server sends machines to this one for their boot loaders; `dhcp.mode: proxy` does that beside any other
    server without a change there.
    """
    wanted = reach.named(open_database(context.state.database), (nodes,))
    text = write(form, [Named(node.name, node.macs, node.address) for node in wanted], context.settings)
    if output is None:
        click.echo(text, nl=False)
        return
    fresh = output.with_name(f".{output.name}.new")
    try:
        fresh.write_text(text)
        fresh.replace(output)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadInput(f"cannot be written: {error.strerror}", where=str(output)) from None
    click.echo(f"{output}: {len(wanted)} nodes", err=True)
