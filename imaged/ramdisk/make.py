"""Builds a server's ramdisk from what a person says of it: what `imaged mkramdisk` and `imaged doctor --repair` do."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from imaged.model.errors import BadInput
from imaged.model.names import ImageRef
from imaged.ramdisk.build import Order, Result, build
from imaged.ramdisk.kernel import KernelChoice, Source
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache, Say
from imaged.store.images import Images
from imaged.store.paths import State, shipped


def cache_directory() -> Path:
    """Where packages are kept."""
    return Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE).absolute()


def make(
    state: State, kernel: str, arch: str, say: Say, *,
    output: Path | None = None, mirror: str = "", firmware: bool = False, refresh: bool = False,
) -> Result:  # fmt: skip
    """``kernel`` and the rest as the options of `imaged mkramdisk`. Raises ImagedError; all is as it was then."""
    choice = KernelChoice.parse(kernel, arch=arch)
    if choice.source is Source.HOST and arch != platform.machine():
        raise BadInput(f"this machine's kernel is not for {arch}", where="--kernel host")
    if firmware and choice.source is not Source.DEBIAN:
        hint = "Other kernels bring lib/firmware of their own."
        raise BadInput("--firmware goes with --kernel debian only", hint=hint)
    release = platform.release()
    order = Order(choice, arch, shipped("installer"), output or state.boot, release, mirror, firmware, refresh)

    def image_tree(ref: ImageRef) -> Path:
        images = Images(state.images)
        return images.tree(images.resolve(ref))

    return build(order, Cache(cache_directory()), image_tree, datetime.now(UTC).isoformat(timespec="seconds"), say)
