"""Boot loaders that Secure Boot lets run: Debian's shim, signed by Microsoft, and its GRUB, signed by Debian."""

from pathlib import Path

from attrs import frozen

from imaged.model.boot import SHIMS, Arch
from imaged.ramdisk.trees import TreeRecipe


@frozen
class Signed:
    """Files of one processor, as they are in the tree of their packages; ``suffix`` is UEFI's name for it.

    GRUB is one program whose built-in configuration knows where to look for the rest: below the directory /grub of a
    TFTP server, or on the medium that has a file /.disk/info. ``keys`` is MokManager, which shim starts when an owner
    enrols a key.
    """

    client: Arch
    package: str
    shim: str
    keys: str
    net_grub: str
    medium_grub: str
    suffix: str

    def loaders(self, tree: Path) -> dict[str, Path]:
        """What is served: path below the boot directory to file. shim asks for its second stage beside itself."""
        return {
            SHIMS[self.client]: tree / self.shim,
            f"loaders/grub{self.suffix}.efi": tree / self.net_grub,
            f"loaders/mm{self.suffix}.efi": tree / self.keys,
        }

    def medium(self) -> dict[str, str]:
        """What a boot medium has: name in /EFI/BOOT to file."""
        return {
            f"BOOT{self.suffix.upper()}.EFI": self.shim,
            f"grub{self.suffix}.efi": self.medium_grub,
            f"mm{self.suffix}.efi": self.keys,
        }


def _of(client: Arch, arch: str, suffix: str, grub: str) -> Signed:
    grubs = f"usr/lib/grub/{grub}-signed"
    return Signed(
        client, f"grub-efi-{arch}-signed",
        f"usr/lib/shim/shim{suffix}.efi.signed", f"usr/lib/shim/mm{suffix}.efi.signed",
        f"{grubs}/grubnet{suffix}.efi.signed", f"{grubs}/gcd{suffix}.efi.signed", suffix,
    )  # fmt: skip


SIGNED = {
    "x86_64": _of(Arch.X86_64, "amd64", "x64", "x86_64-efi"),
    "aarch64": _of(Arch.ARM64, "arm64", "aa64", "arm64-efi"),
}


def recipe(arch: str, mirror: str = "") -> TreeRecipe:
    """The packages; only unpacked, since installing them would look for an ESP."""
    return TreeRecipe("signed", ("shim-signed", SIGNED[arch].package), mirror=mirror, arch=arch)
