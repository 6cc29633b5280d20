"""``imaged cget``: a file of many nodes, side by side on this machine."""

from pathlib import Path
from typing import Any

import click

from imaged.cli import cluster, reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.remote.copying import pull


@click.command("cget")
@reach.also_installer
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("source")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.pass_obj
def command(context: Context, /, nodes: str, source: str, directory: Path, **given: Any) -> None:
    """Copy the file SOURCE of each of NODES into DIRECTORY, as NAME.NODE."""
    if not source.startswith("/") or source.endswith("/"):
        raise BadInput("is not the absolute path of a file", where=source)
    cluster.carry(context, nodes, given, source, directory, pull)
