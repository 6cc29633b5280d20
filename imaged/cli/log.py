"""``imaged log``: what a node's installs and updates have said."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import click

from imaged.cli.context import Context
from imaged.model.errors import NotFound
from imaged.store.nodes import Nodes

_LOOK = 0.5  # seconds between two looks at a log that is followed


@click.command("log")
@click.argument("name", metavar="NODE")
@click.option("--lines", "-n", type=click.IntRange(0), default=50, show_default=True, help="So many at most; 0: all.")
@click.option("--console", is_flag=True, help="What its kernel said instead: in the installer, and by netconsole.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.pass_obj
def command(context: Context, name: str, lines: int, console: bool, follow: bool) -> None:
    """Print the end of NODE's log: every step, every command and what it said, with the server's time.

    The log of an install is also on the node itself: /var/log/imaged-install.log.
    """
    Nodes(context.engine).get(name)
    path = context.state.logs / f"{name}.{'console' if console else 'log'}"
    if not path.exists() and not follow:
        hint = "It begins with its first install."
        raise NotFound("its kernel has said nothing yet" if console else "has no log yet", where=name, hint=hint)
    text = path.read_text(errors="replace").splitlines() if path.exists() else []
    at = path.stat().st_size if path.exists() else 0
    for line in text[-lines:] if lines else text:
        click.echo(line)
    if follow:
        for more in _added(path, at):
            click.echo(more, nl=False)


def _added(path: Path, at: int) -> Iterator[str]:
    """What is written behind byte ``at``, also after the file was turned over."""
    while True:
        if path.exists():
            size = path.stat().st_size
            at = at if size >= at else 0
            with path.open("rb") as file:
                os.lseek(file.fileno(), at, os.SEEK_SET)
                new = file.read()
            at += len(new)
            if new:
                yield new.decode(errors="replace")
        time.sleep(_LOOK)
