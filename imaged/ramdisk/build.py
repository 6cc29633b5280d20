"""Builds a ramdisk from its inputs and puts it where it is served; does nothing when they are those of the last one."""

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from imaged.model.boot import LOADERS, RAMDISK_DIR, Arch
from imaged.model.codec import from_json, to_json
from imaged.model.dialect import dialect
from imaged.model.errors import BadInput, ImagedError
from imaged.model.names import ImageRef
from imaged.ramdisk import agent, cpio, loaders, signed, toolset
from imaged.ramdisk.fetch import fetch_kernel
from imaged.ramdisk.kernel import KernelChoice
from imaged.ramdisk.trees import Cache, Say, digest
from imaged.store.paths import boot_loaders

_FACTS = "ramdisk.json"


@frozen
class Order:
    """What is wanted. ``agent`` is the directory of the package ``installer``; ``boot`` gets ramdisk and loaders.

    ``release`` is the running kernel's, for ``host``. ``renew``: fetch every package again.
    """

    kernel: KernelChoice
    arch: str
    agent: Path
    boot: Path
    release: str = ""
    mirror: str = ""
    firmware: bool = False
    renew: bool = False


@frozen
class Ramdisk:
    """What was built, as ``ramdisk.json`` says it. Sizes in bytes, ``created`` ISO 8601 UTC.

    ``agent`` is a hash of the agent's sources, ``dialect`` what it speaks; empty in one of an earlier release.
    """

    arch: str
    kernel: str
    source: str
    created: str
    vmlinuz: int
    initrd: int
    unpacked: int
    compression: str
    inputs: str
    agent: str = ""
    dialect: str = ""


@frozen
class Result:
    """``changed``: a new ramdisk was put in place. ``loaders`` are the names of those that firmware starts."""

    ramdisk: Ramdisk
    path: Path
    changed: bool
    loaders: tuple[str, ...]


def build(order: Order, cache: Cache, image_tree: Callable[[ImageRef], Path], created: str, say: Say) -> Result:
    """Carry out ``order``. ``image_tree`` finds an image's tree. Raises ImagedError; then all is as it was before."""
    with cache.hold(say), _plain_errors():
        foreign = "" if order.arch == platform.machine() else order.arch
        tools_recipe = toolset.recipe(order.mirror, foreign)
        tools = cache.tree(tools_recipe, say, renew=order.renew)
        kernel = fetch_kernel(
            order.kernel, cache, tools, image_tree, say,
            release=order.release, mirror=order.mirror, firmware=order.firmware, renew=order.renew,
            arch=foreign,
        )  # fmt: skip
        files = agent.agent_files(order.agent)
        module = toolset.module_files()
        base_key = toolset.base_key(tools_recipe, kernel, module)
        agent_key = agent.files_key(files)
        inputs = digest(base_key, agent_key, order.arch)
        found = _loaders(order, cache, say)
        loaders.install({LOADERS[each]: path for each, path in found.items()}, order.boot)
        if order.arch in signed.SIGNED:
            tree = cache.tree(signed.recipe(order.arch, order.mirror), say, renew=order.renew)
            loaders.install(signed.SIGNED[order.arch].loaders(tree), order.boot)
        if order.arch == "x86_64":
            tree = cache.tree(loaders.memtest_recipe(order.mirror), say, renew=order.renew)
            loaders.install(loaders.memtest_in(tree), order.boot)
        path = order.boot / RAMDISK_DIR / order.arch
        current = read_ramdisk(path)
        if current and (current.inputs, current.agent) == (inputs, agent_key) and not order.renew:
            return Result(current, path, False, _started(order.boot))

        def make_base(target: Path) -> None:
            say(f"packing the ramdisk of kernel {kernel.version} (dracut)")
            toolset.build_base(tools, kernel, module, target)

        base = cache.keep(base_key, make_base, renew=order.renew)
        say("adding the agent")
        with cache.scratch() as scratch:
            layer = agent.layer(tools, files, scratch)
        with new_directory(path) as fresh:
            shutil.copyfile(kernel.image, fresh / "vmlinuz")
            size = write_initrd(base / "base.img", layer, fresh / "initrd.img")
            ramdisk = Ramdisk(
                order.arch, kernel.version, str(order.kernel), created, (fresh / "vmlinuz").stat().st_size, size,
                int((base / "unpacked").read_text()), kernel.compression(), inputs, agent_key, dialect(),
            )  # fmt: skip
            (fresh / _FACTS).write_text(to_json(ramdisk, indent=2) + "\n")
        cache.prune()
        return Result(ramdisk, path, True, _started(order.boot))


def read_ramdisk(path: Path) -> Ramdisk | None:
    """The ramdisk in directory ``path``, or None where there is none that is whole."""
    try:
        ramdisk = from_json((path / _FACTS).read_bytes(), Ramdisk)
        sizes = [(path / name).stat().st_size for name in ("vmlinuz", "initrd.img")]
    except (OSError, BadInput):
        return None
    return ramdisk if sizes == [ramdisk.vmlinuz, ramdisk.initrd] else None


def write_initrd(base: Path, layer: bytes, target: Path) -> int:
    """Base and layer one after another, each beginning where the kernel looks for one; returns the size in bytes.

    The end is aligned too: a boot script may append an archive of its own.
    """
    shutil.copyfile(base, target)
    with target.open("ab") as out:
        out.write(bytes(-out.tell() % cpio.ALIGNMENT) + cpio.padded(layer))
        return out.tell()


def _loaders(order: Order, cache: Cache, say: Say) -> dict[Arch, Path]:
    found = loaders.on_host()
    if loaders.complete(found):
        return found
    return {**loaders.in_tree(cache.tree(loaders.recipe(order.mirror), say, renew=order.renew)), **found}


def _started(boot: Path) -> tuple[str, ...]:
    return tuple(Path(name).name for name in boot_loaders(boot))


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory that takes the place of ``path`` at once when the block ends well, and is gone when it does not.

    ``path`` is a symbolic link: kernel and ramdisk must change together, and only a link can be replaced in one step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield fresh
        for file in fresh.iterdir():
            file.chmod(0o644)
        fresh.chmod(0o755)
        link = fresh / "link"
        link.symlink_to(fresh.name)
        if path.is_dir() and not path.is_symlink():
            path.rename(fresh / "old")
        link.replace(path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(fresh / "old", ignore_errors=True)
    for other in path.parent.glob(f".{path.name}-*"):
        if other != fresh:
            shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # no space, no permission, a read-only filesystem: a person's to fix
        raise ImagedError(error.strerror or str(error), where=str(error.filename or "")) from None
