"""``imaged mkramdisk``: build the boot ramdisk and fetch the boot loaders."""

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.names import ImageRef
from imaged.model.size import format_size
from imaged.ramdisk.build import Order, Result, build
from imaged.ramdisk.kernel import DEFAULT_PACKAGES, KernelChoice, Source
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache
from imaged.store.images import Images
from imaged.store.paths import shipped


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
    arch = arch or platform.machine()
    choice = KernelChoice.parse(kernel, arch=arch)
    if choice.source is Source.HOST and arch != platform.machine():
        raise BadInput(f"this machine's kernel is not for {arch}", where="--kernel host")
    if firmware and choice.source is not Source.DEBIAN:
        raise BadInput(
            "--firmware goes with --kernel debian only", hint="Other kernels bring lib/firmware of their own."
        )
    order = Order(
        choice, arch, shipped("installer"), output or context.state.boot,
        platform.release(), mirror, firmware, refresh,
    )  # fmt: skip

    def image_tree(ref: ImageRef) -> Path:
        images = Images(context.state.images)
        return images.tree(images.resolve(ref))

    def say(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False, soft_wrap=True)

    cache = Cache(Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE).absolute())
    created = datetime.now(UTC).isoformat(timespec="seconds")
    result = build(order, cache, image_tree, created, say)
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
