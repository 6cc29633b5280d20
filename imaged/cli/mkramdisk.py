"""``imaged mkramdisk``: build the boot ramdisk and fetch the boot loaders."""

import platform
import time
from pathlib import Path

import click
from rich.console import Console

from imaged.cli.context import Context
from imaged.model.size import format_size
from imaged.ramdisk.build import Result
from imaged.ramdisk.kernel import DEFAULT_PACKAGES
from imaged.ramdisk.make import make
from imaged.store.events import Events


@click.command("mkramdisk")
@click.option(
    "--kernel",
    default="debian",
    show_default=True,
    help="debian, debian:PACKAGE, host, image:NAME[@VERSION], or the path of a .deb or of a tree with a kernel.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Put ramdisk/ and loaders/ below this directory instead of the state's boot directory.",
)
@click.option("--mirror", default="", help="URL of a Debian archive, instead of the usual one.")
@click.option(
    "--firmware", is_flag=True, help="Add firmware for cards that need it; it is not free. With --kernel debian."
)
@click.option(
    "--arch",
    type=click.Choice(tuple(DEFAULT_PACKAGES)),
    help="The processor it is for; without it, this machine's. Another one's needs qemu-user-static and arch-test.",
)
@click.option("--refresh", is_flag=True, help="Fetch all packages again, for newer ones.")
@click.pass_obj
def command(
    context: Context, kernel: str, output: Path | None, mirror: str, firmware: bool, arch: str | None, refresh: bool
) -> None:  # fmt: skip
    """Build the boot ramdisk: kernel, tools and the agent that installs nodes. Also puts boot loaders in place.

    Packages are kept in /var/cache/imaged (or where IMAGED_CACHE says) and fetched once. When nothing has changed
    since the last time, nothing is done.
    """
    started = time.monotonic()
    console = Console(highlight=False)

    def say(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False, soft_wrap=True)

    result = make(
        context.state, kernel, arch or platform.machine(), say,
        output=output, mirror=mirror, firmware=firmware, refresh=refresh,
    )  # fmt: skip
    if result.changed and output is None:
        told = {"kernel": result.ramdisk.kernel, "source": result.ramdisk.source}
        Events(context.engine).tell("ramdisk built", result.ramdisk.arch, told)
    console.print(summary(result, time.monotonic() - started), markup=False, soft_wrap=True)


def summary(result: Result, seconds: float) -> str:
    """What a person is told at the end."""
    ramdisk = result.ramdisk
    done = f"built in {seconds:.0f} s" if result.changed else f"unchanged since {ramdisk.created}"
    return "\n".join(
        (
            f"{result.path}: {done}",
            f"kernel {ramdisk.kernel} from {ramdisk.source}, {format_size(ramdisk.vmlinuz)}",
            f"ramdisk {format_size(ramdisk.initrd)} ({ramdisk.compression}), {format_size(ramdisk.unpacked)} unpacked",
            f"boot loaders: {', '.join(result.loaders)}",
        )
    )
