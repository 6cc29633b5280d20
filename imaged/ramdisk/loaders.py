"""Programs of other people that machines load first: iPXE, memtest86+. Copied to where the daemon serves them."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from imaged.model.boot import Arch
from imaged.model.next_boot import MEMTEST
from imaged.ramdisk.trees import TreeRecipe

_HOST_DIRS = (Path("/usr/lib/ipxe"), Path("/usr/share/ipxe"))
_TREE_DIRS = ("usr/lib/ipxe", "usr/share/ipxe")
# Names in Debian's packages and in Red Hat's. snponly uses the firmware's own network driver: it works wherever the
# firmware got this far, while ipxe.efi must know the card itself.
NAMES = {
    Arch.BIOS: ("undionly.kpxe",),
    Arch.X86_64: ("snponly.efi", "ipxe-snponly-x86_64.efi"),
    Arch.ARM64: ("snponly-arm64.efi", "arm64-efi/snponly.efi", "ipxe-snponly-aarch64.efi", "ipxe-arm64.efi"),
}
REQUIRED = (Arch.BIOS, Arch.X86_64)  # Debian 12 has none for arm64


def recipe(mirror: str = "") -> TreeRecipe:
    """The package to take them from when this host has none."""
    return TreeRecipe("loaders", ("ipxe",), mirror=mirror)


def find(directories: Iterable[Path]) -> dict[Arch, Path]:
    """The first file of each architecture's names, in the first directory that has one."""
    places = tuple(directories)
    found = {arch: [place / name for place in places for name in names] for arch, names in NAMES.items()}
    return {arch: hits[0] for arch, paths in found.items() if (hits := [path for path in paths if path.is_file()])}


def on_host() -> dict[Arch, Path]:
    """Those that this host has."""
    return find(_HOST_DIRS)


def in_tree(tree: Path) -> dict[Arch, Path]:
    """Those that an unpacked package has."""
    return find(tree / place for place in _TREE_DIRS)


def complete(found: dict[Arch, Path]) -> bool:
    """Whether no package needs to be fetched."""
    return all(arch in found for arch in REQUIRED)


def memtest_recipe(mirror: str = "") -> TreeRecipe:
    """memtest86+ 6, which has a program for each firmware; Debian's is for PCs."""
    return TreeRecipe("memtest", ("memtest86+",), mirror=mirror, arch="x86_64")


def memtest_in(tree: Path) -> dict[str, Path]:
    """What is served of it: path below the boot directory to file."""
    return {path: tree / "boot" / Path(path).name for path in MEMTEST.values()}


def install(found: Mapping[str, Path], boot: Path) -> tuple[Path, ...]:
    """Put them below the boot directory (path there to source), each replaced at once; returns those that changed."""
    changed = []
    for name, source in found.items():
        target = boot / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        shutil.copyfile(source, fresh)
        fresh.chmod(0o644)
        fresh.replace(target)
        changed.append(target)
    return tuple(changed)
