"""Which program builds an image's initramfs, and where it puts it: by footprint. Pure."""

from enum import Enum

from imaged.model.image import ImageFacts, Kernel


class Tool(Enum):
    """By the name of the program."""

    INITRAMFS_TOOLS = "update-initramfs"
    DRACUT = "dracut"
    MKINITCPIO = "mkinitcpio"
    MKINITFS = "mkinitfs"


LISTERS = {Tool.INITRAMFS_TOOLS: "lsinitramfs", Tool.DRACUT: "lsinitrd", Tool.MKINITCPIO: "lsinitcpio"}


def tool(facts: ImageFacts) -> Tool | None:
    """The first of those there. dracut's package on Debian has no update-initramfs, so an image that has it uses it."""
    return next((each for each in Tool if each.value in facts.commands), None)


def initrd_of(kernel: Kernel, facts: ImageFacts) -> str:
    """The initramfs of a kernel: the image's, or where one will be made."""
    if kernel.initrd:
        return kernel.initrd
    directory, _, name = kernel.image.rpartition("/")
    if directory != "/boot":
        return f"/boot/{_form(facts).format(kernel.version)}"
    return f"/boot/{_form(facts).format(name.partition('-')[2])}"


def _form(facts: ImageFacts) -> str:
    """Names as each family's menu looks for them. SUSE's is known by its /etc/sysconfig/bootloader."""
    match tool(facts):
        case Tool.MKINITFS:
            return "initramfs-{0}"
        case Tool.MKINITCPIO:
            return "initramfs-{0}.img"
        case Tool.DRACUT if "/etc/sysconfig/bootloader" in facts.files:
            return "initrd-{0}"
        case Tool.DRACUT if "update-grub" not in facts.commands:
            return "initramfs-{0}.img"
        case _:
            return "initrd.img-{0}"
