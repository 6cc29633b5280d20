"""``imaged crm``: remove files on many nodes."""

from typing import Any

import click

from imaged.cli import cluster
from imaged.cli.context import Context
from imaged.planning.cluster import remove


@click.command("crm")
@click.option("--recursive", "-r", is_flag=True, help="Directories too, with all that is in them.")
@click.option("--force", "-f", is_flag=True, help="What is not there is no fault.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.pass_obj
def command(
    context: Context, /, nodes: str, paths: tuple[str, ...], recursive: bool, force: bool, yes: bool, **given: Any
) -> None:
    """Remove PATHs (absolute) on NODES, after a question."""
    confirm = "" if yes else f"Remove {' '.join(paths)}"
    cluster.run(context, (nodes,), remove(paths, recursive=recursive, force=force), given, confirm=confirm)
