"""Gets the chosen kernel to where dracut can read it: from a package, the host, an image or a tree."""

import shutil
from collections.abc import Callable
from pathlib import Path

from imaged.model.errors import NotFound
from imaged.model.names import ImageRef
from imaged.ramdisk.enter import Bind, run_inside
from imaged.ramdisk.kernel import KernelChoice, KernelFiles, Source, find_kernel
from imaged.ramdisk.trees import Cache, Say, digest


def fetch_kernel(
    choice: KernelChoice,
    cache: Cache,
    tools: Path,
    image_tree: Callable[[ImageRef], Path],
    say: Say,
    *,
    release: str,
    mirror: str = "",
    firmware: bool = False,
    renew: bool = False,
    arch: str = "",
) -> KernelFiles:
    """The files of ``choice``. ``release`` is the running kernel's, ``tools`` the toolset tree, ``arch`` its processor.

    Raises ImagedError.
    """

    def finish(tree: Path) -> None:
        _keep_kernel_only(tree)
        _depmod(tools, tree)

    if choice.source is Source.HOST:
        return find_kernel(Path("/"), release)
    if choice.source is Source.IMAGE:
        return find_kernel(image_tree(ImageRef.parse(choice.name)))
    if choice.source is Source.DEBIAN:
        recipe = choice.recipe(mirror=mirror, firmware=firmware, arch=arch)
        return find_kernel(cache.tree(recipe, say, renew=renew, finish=finish))
    path = Path(choice.name).absolute()
    if choice.source is Source.TREE:
        if not path.is_dir():
            raise NotFound("no such directory", where=str(path), hint="Name a .deb or an unpacked tree.")
        return find_kernel(path)
    if not path.is_file():
        raise NotFound("no such file", where=str(path))

    def unpack(tree: Path) -> None:
        binds = (Bind(path.parent, "mnt/package"), Bind(tree, "mnt/output", writable=True))
        run_inside(tools, ("dpkg-deb", "--extract", f"/mnt/package/{path.name}", "/mnt/output"), binds)
        finish(tree)

    return find_kernel(cache.keep(f"deb-{digest(path.read_bytes())}", unpack))


def _depmod(tools: Path, tree: Path) -> None:
    """Write modules.dep of a kernel that was only unpacked: its maintainer script, which does it, has not run."""
    for place in (tree / "lib/modules", tree / "usr/lib/modules"):
        for modules in place.iterdir() if place.is_dir() else ():
            run_inside(tools, ("depmod", modules.name), (Bind(place, "usr/lib/modules", writable=True),))


def _keep_kernel_only(tree: Path) -> None:
    """A kernel package depends on programs that we do not want."""
    kernel = {"modules", "firmware"}
    for place, kept in (("", {"boot", "lib", "usr"}), ("usr", {"lib"}), ("lib", kernel), ("usr/lib", kernel)):
        directory = tree / place
        for path in directory.iterdir() if directory.is_dir() and not directory.is_symlink() else ():
            if path.name in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
