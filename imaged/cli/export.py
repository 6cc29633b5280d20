"""``imaged export``: files that tell other programs of our nodes."""

from pathlib import Path

import click

from imaged.admin import exporting
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.store import durable


@click.command("export")
@click.argument("form", type=click.Choice(exporting.EVERY_FORM))
@click.option("--nodes", default="@*", show_default=True, metavar="NODES", help="Only these.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write this file, at once.")
@click.pass_obj
def command(context: Context, form: str, nodes: str, output: Path | None) -> None:
    """Print nodes as hosts(5), ethers(5), DNS records (zone, reverse-zone), as csv or yaml for `imaged importnodes`, or
    as the configuration of ISC's dhcpd, Kea or dnsmasq for a site that keeps its own DHCP server.

    Such a server sends machines to this one for their boot loaders; `dhcp.mode: proxy` does that beside any other
    server without a change there.
    """
    text, count = exporting.text(context.desk, form, nodes)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        durable.write_file(output, text)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(output)) from None
    click.echo(f"{output}: {count} nodes", err=True)
