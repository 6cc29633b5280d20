"""``imaged cpush``: a file or a directory of this machine to many nodes."""

from pathlib import Path
from typing import Any

import click

from imaged.cli import cluster, reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.remote.copying import push


@click.command("cpush")
@reach.also_installer
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("target", default="", metavar="[TARGET]")
@click.pass_obj
def command(context: Context, /, nodes: str, source: Path, target: str, **given: Any) -> None:
    """Copy SOURCE to NODES by scp, modes and times with it: to TARGET there, else to the same place as here."""
    target = target or str(source.absolute())
    if not target.startswith("/"):
        raise BadInput("is not an absolute path", where=target)
    cluster.carry(context, nodes, given, source, target, push)
