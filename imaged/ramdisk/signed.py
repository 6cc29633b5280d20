"""Boot loaders that Secure Boot lets run: Debian's shim, signed by Microsoft, and its GRUB, signed by Debian."""

from pathlib import Path

from imaged.ramdisk.trees import TreeRecipe

# In the trees of their packages. GRUB is one program whose built-in configuration knows where to look for the rest:
# below the directory /grub of a TFTP server, or on the medium that has a file /.disk/info.
SHIM = "usr/lib/shim/shimx64.efi.signed"
KEYS = "usr/lib/shim/mmx64.efi.signed"  # MokManager, which shim starts when an owner enrols a key
NET_GRUB = "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"
MEDIUM_GRUB = "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"


def recipe(mirror: str = "") -> TreeRecipe:
    """The packages; only unpacked, since installing them would look for an ESP."""
    return TreeRecipe("signed", ("shim-signed", "grub-efi-amd64-signed"), mirror=mirror)


def net_loaders(tree: Path) -> dict[str, Path]:
    """What is served: path below the boot directory to file. shim asks for its second stage beside itself."""
    return {
        "loaders/shimx64.efi": tree / SHIM,
        "loaders/grubx64.efi": tree / NET_GRUB,
        "loaders/mmx64.efi": tree / KEYS,
    }
