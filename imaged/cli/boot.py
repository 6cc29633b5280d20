"""``imaged boot``: what nodes do at their next network boot."""

import sys
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import urlopen

import click

from imaged.admin import boot
from imaged.cli import setups, wishing
from imaged.cli.context import Context
from imaged.model.errors import BadInput, Unreachable
from imaged.model.next_boot import NextBoot, boot_action, command_line
from imaged.model.node import BootAction

_PATIENCE = 60.0  # seconds of silence of a server that a kernel is fetched from


@click.command("boot")
@click.argument("names", nargs=-1, required=True, metavar="NODES...")
@click.argument("action", metavar="ACTION")
@click.option("--once", "once", flag_value="once", help="For the next network boot; then what held before holds again.")
@click.option("--always", "once", flag_value="always", help="Until something else is said.")
@click.option("--kernel", default="", metavar="FILE|URL", help="With kernel: what to start.")
@click.option("--initrd", "initrds", multiple=True, metavar="FILE|URL", help="With kernel: repeat for more.")
@click.option("--append", default="", metavar="WORDS", help="With kernel: its command line.")
@click.option(
    "--script", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    help="With ipxe: the template; - is stdin.",
)  # fmt: skip
@wishing.options
@click.pass_obj
def command(
    context: Context, /, names: tuple[str, ...], action: str, once: str | None, kernel: str, initrds: tuple[str, ...],
    append: str, script: Path | None, **given: Any,
) -> None:  # fmt: skip
    """Choose what NODES (node01, node[01-64], @rack1) do at their next network boot.

    \b
    install   be installed; from then on start from their own disks
    local     start from their own disks
    rescue    open a shell in the boot ramdisk, and nothing more
    inventory tell their hardware; from then on start from their own disks
    memtest   test their memory (memtest86+); once
    kernel    start the kernel of --kernel; once
    ipxe      run the iPXE script of --script, a template with the node's values; once

    --break, --then and --plan hold for the next install that is carried through, by whatever way it is started.
    """
    chosen, wishes = boot_action(action), wishing.take(given)
    if chosen is BootAction.INSTALL and once == "always":
        hint = "An install leaves the node on its own disk when it is carried through."
        raise BadInput("a node that is always installed never runs", where="--always", hint=hint)
    _refuse_strays(chosen, kernel, initrds, append, script)
    for node in names:
        if node in [each.value for each in BootAction]:
            raise BadInput(f"two actions: {node} and {action}", hint="Nodes come first, then one action.")
    wanted = NextBoot(
        chosen, _kept(context, kernel), tuple(_kept(context, each) for each in initrds), command_line(append),
        _read(script) if script else "",
    )  # fmt: skip
    made = boot.choose(context.desk, names, wanted, once=None if once is None else once == "once", wishes=wishes)
    for name, booting in made:
        click.echo(f"{name}: next network boot: {booting}{wishing.told(wishes)}")
    if chosen is BootAction.INSTALL:
        setups.tell_missing(context.desk.nodes.named([name for name, _ in made]))


def _refuse_strays(action: BootAction, kernel: str, initrds: tuple[str, ...], append: str, script: Path | None) -> None:
    """Before anything is copied. Raises BadInput."""
    if action is BootAction.KERNEL and not kernel:
        raise BadInput("which kernel?", where="kernel", hint="Name it: --kernel FILE or --kernel URL.")
    if action is BootAction.IPXE and not script:
        raise BadInput("which script?", where="ipxe", hint="Name it: --script FILE.")
    if action is not BootAction.KERNEL and (kernel or initrds or append):
        raise BadInput(f"--kernel, --initrd and --append go with kernel, not with {action.value}")
    if action is not BootAction.IPXE and script:
        raise BadInput(f"--script goes with ipxe, not with {action.value}")


def _kept(context: Context, source: str) -> str:
    """A copy of a file or of what is at a URL, below the boot directory. Raises BadInput, Unreachable."""
    if not source:
        return ""
    remote = source.startswith(("http://", "https://"))
    try:
        with urlopen(source, timeout=_PATIENCE) if remote else open(source, "rb") as found:
            name = urlsplit(source).path if remote else source
            return boot.keep_file(context.desk, cast(BinaryIO, found), name)
    except (OSError, ValueError, HTTPException) as error:  # URLError is an OSError, a wrong URL either of the others
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise (Unreachable if remote else BadInput)(f"cannot be read: {why}", where=source) from None


def _read(script: Path) -> str:
    try:
        return sys.stdin.read() if str(script) == "-" else script.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", where=str(script)) from None
