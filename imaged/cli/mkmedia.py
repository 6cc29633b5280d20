"""``imaged mkmedia``: make a boot medium, for machines that cannot boot from the network."""

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console

from imaged.cli.context import Context
from imaged.model.boot import RAMDISK_DIR
from imaged.model.errors import BadInput, Conflict, NotFound
from imaged.model.node import BootAction, Node
from imaged.model.size import format_size
from imaged.planning import localcfg
from imaged.planning.localcfg import LocalConfig, ip_argument
from imaged.planning.script import medium_arguments, serial
from imaged.ramdisk import media
from imaged.ramdisk.signed import SIGNED
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache
from imaged.store.media import Media
from imaged.store.nodes import Nodes
from imaged.store.paths import State
from imaged.store.templates import Templates

_DAY = 86400
_SCRIPTS = "autoinstall_scripts"  # the site's own, below the state directory


@click.command("mkmedia")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The image to write.")
@click.option("--node", "name", help="Only this node may be installed from it.")
@click.option(
    "--local-cfg", "local", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="SystemImager's local.cfg: a static address, the device, the server.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How long it is good.")
@click.option("--console", default="", help="As of nodes, such as ttyS0,115200; --node knows its own.")
@click.option("--arch", type=click.Choice(tuple(SIGNED)), default="x86_64", show_default=True)
@click.option("--mirror", default="", help="URL of a Debian archive, instead of the usual one.")
@click.option("--revoke", is_flag=True, help="Instead: no medium that was made so far starts an install any more.")
@click.pass_obj
def command(
    context: Context, output: Path | None, name: str | None, local: Path | None, days: int, console: str, arch: str,
    mirror: str, revoke: bool,
) -> None:  # fmt: skip
    """Write a boot medium: an image for a CD or, byte for byte, for a USB stick; BIOS, UEFI and Secure Boot.

    It holds the boot ramdisk and a token. A machine that starts from it tells the server its MACs; when they are those
    of a node that is to be installed, it is, as if it had come by the network. Make it again after `imaged mkramdisk`.
    """
    nodes = context.engine
    if revoke:
        if output or name or local:
            raise BadInput("makes no medium", where="--revoke", hint="Run it alone.")
        click.echo(f"media that start no install any more: {Media(nodes).revoke()}")
        return
    if output is None:
        raise BadInput("no file to write", hint="Give --output, such as --output imaged.iso.")
    if not output.absolute().parent.is_dir():
        raise BadInput("there is no such directory", where=str(output.parent), hint="Make it, or name another.")
    started, says = time.monotonic(), Console(highlight=False)
    config = _read(local) if local else LocalConfig()
    for line in config.ignored:
        says.print(f"  {line}", style="yellow", markup=False, soft_wrap=True)
    node = _node(Nodes(nodes), name, config, local)
    server = server_url(context.settings.base_url, config.server)
    cache = Cache(Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE).absolute())
    token = Media(nodes).mint(time.time() + days * _DAY, node.name if node else None)
    arguments = medium_arguments(server, token, console or (node.console if node else ""), ip_argument(config))
    medium = media.Medium(
        menu=menu(context.state, node, server, console or (node.console if node else ""), arguments),
        ramdisk=context.state.boot / RAMDISK_DIR / arch,
        title=f"imaged boot medium {arch}",
        arch=arch,
    )
    size = media.build(
        medium, output.absolute(), cache,
        lambda line: says.print(f"  {line}", style="dim", markup=False, soft_wrap=True), mirror=mirror,
    )  # fmt: skip
    whose = node.name if node else "every node that is to be installed"
    took = time.monotonic() - started
    says.print(
        f"{output}: {format_size(size)}, for {whose}, good for {days} days, made in {took:.0f} s\n"
        f"to a stick: dd if={output} of=/dev/... bs=4M conv=fsync",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def server_url(base: str, host: str) -> str:
    """The server's URL with another host, as local.cfg's IMAGESERVER has it. Pure."""
    if not host:
        return base
    port = urlsplit(base).port
    return f"http://{host}:{port}" if port else f"http://{host}"


def menu(state: State, node: Node | None, server: str, console: str, arguments: str) -> str:
    """GRUB's configuration on the medium, from the site's template or ours."""
    return Templates(state.root / _SCRIPTS).render(
        "boot/medium.cfg", node=node.name if node else "", server=server, arguments=arguments, serial=serial(console)
    )


def _read(path: Path) -> LocalConfig:
    try:
        return localcfg.read(path.read_text(), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", where=str(path)) from None


def _node(nodes: Nodes, name: str | None, config: LocalConfig, local: Path | None) -> Node | None:
    """The node of --node, else the one that local.cfg's HOSTNAME names. Raises NotFound, BadInput, Conflict."""
    called = config.hostname.partition(".")[0]
    if name and called and called != name:
        raise BadInput(f"HOSTNAME is {called}, not {name}", where=str(local))
    if not name and not called:
        return None
    try:
        node = nodes.get(name or called)
    except NotFound as error:
        raise NotFound(error.what, where=error.where or str(local or ""), hint=error.hint) from None
    if node.action is not BootAction.INSTALL:
        hint = f"Let it be: imaged boot {node.name} install."
        raise Conflict("is not to be installed, and the medium would not do it", where=node.name, hint=hint)
    return node
