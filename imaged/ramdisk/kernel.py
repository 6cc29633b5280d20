"""Which kernel the ramdisk boots with, and where its files are in a tree."""

import re
from enum import Enum
from pathlib import Path

from attrs import frozen

from imaged.model.errors import BadInput, NotFound
from imaged.model.names import ImageRef
from imaged.ramdisk.trees import TreeRecipe, digest

DEFAULT_PACKAGES = {"x86_64": "linux-image-amd64", "aarch64": "linux-image-arm64"}
# What network cards and disk controllers load into themselves; without it bnx2x and older qla2xxx do nothing at all.
FIRMWARE_PACKAGES = (
    "firmware-bnx2", "firmware-bnx2x", "firmware-cavium", "firmware-misc-nonfree", "firmware-myricom",
    "firmware-netronome", "firmware-netxen", "firmware-qlogic", "firmware-realtek",
)  # fmt: skip
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}")


class Source(Enum):
    """Where a kernel and its modules come from."""

    DEBIAN = "debian"
    HOST = "host"
    IMAGE = "image"
    DEB = "deb"
    TREE = "tree"


@frozen
class KernelChoice:
    """``name`` is the package, image reference or path that goes with ``source``; empty for the host's kernel."""

    source: Source
    name: str = ""

    @classmethod
    def parse(cls, text: str, *, arch: str) -> "KernelChoice":
        """Read ``debian[:PACKAGE]``, ``host``, ``image:REF`` or the path of a .deb or a tree. Raises BadInput."""
        word, colon, name = text.partition(":")
        if word == "debian":
            package = name if colon else DEFAULT_PACKAGES.get(arch, "")
            if not _PACKAGE.fullmatch(package):
                raise BadInput(
                    f"{package!r} is not a package name", hint="Write it like debian:linux-image-cloud-amd64."
                )
            return cls(Source.DEBIAN, package)
        if text == "host":
            return cls(Source.HOST)
        if word == "image" and colon:
            return cls(Source.IMAGE, str(ImageRef.parse(name)))
        if "/" in text:
            return cls(Source.DEB if text.endswith(".deb") else Source.TREE, text)
        raise BadInput(
            f"{text!r} names no kernel", hint="Use debian, debian:PACKAGE, host, image:NAME[@VERSION] or a path."
        )

    def __str__(self) -> str:
        return ":".join(part for part in (self.source.value, self.name) if part)

    def recipe(self, *, mirror: str = "", firmware: bool = False, arch: str = "") -> TreeRecipe:
        """The tree that holds a Debian package's kernel, with the firmware that is not free when asked for."""
        if not firmware:
            return TreeRecipe("kernel", (self.name,), mirror=mirror, arch=arch)
        components = ("main", "non-free-firmware")
        return TreeRecipe("kernel", (self.name, *FIRMWARE_PACKAGES), mirror=mirror, components=components, arch=arch)


@frozen
class KernelFiles:
    """A kernel that can be booted: ``modules`` is its directory below ``lib/modules``; ``config`` may be missing."""

    version: str
    image: Path
    modules: Path
    config: Path | None = None
    firmware: Path | None = None

    def identity(self) -> str:
        """Changes when the kernel or its modules do. depmod writes modules.dep anew after each change of modules."""
        dependencies = self.modules / "modules.dep"
        return digest(
            self.version, self.image.read_bytes(), dependencies.read_bytes(), str(dependencies.stat().st_mtime_ns),
            *_firmware_listing(self.firmware),
        )  # fmt: skip

    def compression(self) -> str:
        """``zstd`` where this kernel can unpack it, else ``gzip``."""
        return best_compression(self.version, self.config.read_text(errors="replace") if self.config else "")


def best_compression(version: str, config: str) -> str:
    """zstd unpacks fastest at this size, but kernels before 5.9 do not know it and others are built without."""
    if config:
        return "zstd" if "CONFIG_RD_ZSTD=y" in config.splitlines() else "gzip"
    return "zstd" if version_key(version) >= version_key("5.9") else "gzip"


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """Sorts ``6.1.0-9`` before ``6.1.0-56`` and ``6.2-rc1`` before ``6.2``."""
    words = re.findall(r"\d+|[a-z]+", version)
    return (*((int(word), "") if word.isdigit() else (-1 if word == "rc" else 0, word) for word in words), (0, ""))


def find_kernel(root: Path, version: str = "") -> KernelFiles:
    """The newest kernel in ``root`` (or exactly ``version``) that has both an image and modules.

    Raises NotFound that tells which half is missing.
    """
    modules = {path.name: path for path in _beneath(root, "lib/modules", "usr/lib/modules") if path.is_dir()}
    versions = [version] if version else sorted(modules, key=version_key, reverse=True)
    if not modules:
        raise NotFound("there are no kernel modules", where=str(root / "lib/modules"), hint=_OTHER)
    for candidate in versions:
        image = _image(root, candidate)
        if image and candidate in modules and (modules[candidate] / "modules.dep").is_file():
            config = root / f"boot/config-{candidate}"
            firmware = [place for place in (root / "lib/firmware", root / "usr/lib/firmware") if place.is_dir()]
            return KernelFiles(
                candidate, image, modules[candidate],
                config=config if config.is_file() else None, firmware=firmware[0] if firmware else None,
            )  # fmt: skip
    if version and version not in modules:
        raise NotFound(f"there are no modules of kernel {version}", where=str(root / "lib/modules"), hint=_OTHER)
    without = [candidate for candidate in versions if candidate in modules and _image(root, candidate)]
    if without:
        path = modules[without[0]] / "modules.dep"
        raise NotFound("the modules have no list of dependencies", where=str(path), hint=f"Run depmod {without[0]}.")
    raise NotFound(
        f"there is no kernel for the modules of {', '.join(versions)}", where=str(root / "boot"), hint=_OTHER
    )


_OTHER = "Choose another kernel with --kernel, for example --kernel debian."


def _firmware_listing(root: Path | None) -> list[str]:
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root else []
    return [f"{path} {path.stat().st_size}" for path in files]


def _image(root: Path, version: str) -> Path | None:
    # Red Hat's family keeps the image beside its modules; /boot may hold it under either name, or none.
    places = (f"boot/vmlinuz-{version}", f"boot/vmlinux-{version}", f"boot/Image-{version}",
              f"lib/modules/{version}/vmlinuz", f"usr/lib/modules/{version}/vmlinuz")  # fmt: skip
    return next((root / place for place in places if (root / place).is_file()), None)


def _beneath(root: Path, *places: str) -> list[Path]:
    return [path for place in places if (root / place).is_dir() for path in sorted((root / place).iterdir())]
