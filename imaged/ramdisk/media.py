"""Boot media: one image that starts the boot ramdisk from CD or USB stick, on BIOS and on UEFI (Secure Boot too)."""

import shutil
from pathlib import Path

from attrs import frozen

from imaged.model.boot import MEDIUM_LABEL
from imaged.model.errors import ImagedError, NotFound
from imaged.model.size import MIB
from imaged.ramdisk import signed
from imaged.ramdisk.enter import Bind, run_inside
from imaged.ramdisk.trees import Cache, Say, TreeRecipe

_GRUB_MODULES = (
    "biosdisk", "iso9660", "part_gpt", "part_msdos", "normal", "configfile", "search", "search_fs_file", "linux",
    "serial", "terminal", "echo", "test", "sleep", "reboot", "halt", "ls", "cat", "minicmd", "all_video", "gzio",
)  # fmt: skip
# The medium may be any drive of the firmware's: it is known by a file. The signed GRUB looks for that one by itself.
_MARK = ".disk/info"
_FIND = f"search --no-floppy --file --set=root /{_MARK}\nset prefix=($root)/boot/grub\n"
_AT = "mnt/output"


@frozen
class Medium:
    """What goes onto a medium: ``menu`` for GRUB, ``ramdisk`` the directory of vmlinuz and initrd.img.

    ``arch`` is a processor of ``signed.SIGNED``; x86_64 media start by BIOS too.
    """

    menu: str
    ramdisk: Path
    title: str
    arch: str = "x86_64"

    @property
    def bios(self) -> bool:
        """Whether it has a boot loader for BIOS."""
        return self.arch == "x86_64"


def recipe(mirror: str = "") -> TreeRecipe:
    """The programs that make the image."""
    return TreeRecipe("media", ("xorriso", "grub-common", "grub-pc-bin", "mtools", "dosfstools"), mirror=mirror)


def core_argv(config: str, output: str) -> tuple[str, ...]:
    """grub-mkimage(1): all that BIOS needs in one file."""
    return (
        "grub-mkimage", "--format=i386-pc-eltorito", "--prefix=/boot/grub", f"--config={config}",
        f"--output={output}", *_GRUB_MODULES,
    )  # fmt: skip


def image_argv(tree: str, mbr: str, output: str) -> tuple[str, ...]:
    """xorrisofs(1), as grub-mkrescue(1) calls it: El Torito for CDs, an MBR and an EFI system partition for sticks.

    ``mbr`` empty: for UEFI alone.
    """
    bios = (
        (
            "-b",
            "boot/grub/eltorito.img",
            "-no-emul-boot",
            "-boot-load-size",
            "4",
            "-boot-info-table",
            "--grub2-boot-info",
            "--grub2-mbr",
            mbr,
            "--protective-msdos-label",
        )
        if mbr
        else ()
    )
    return (
        "xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-volid", MEDIUM_LABEL, *bios,
        "--efi-boot", "boot/grub/efi.img", "-efi-boot-part", "--efi-boot-image",
        "-o", output, tree,
    )  # fmt: skip


def build(medium: Medium, target: Path, cache: Cache, say: Say, *, mirror: str = "") -> int:
    """Write the image to ``target``, replaced at once; returns its size in bytes. Raises ImagedError."""
    for name in ("vmlinuz", "initrd.img"):
        if not (medium.ramdisk / name).is_file():
            raise NotFound("no boot ramdisk", where=str(medium.ramdisk), hint="`imaged mkramdisk` makes one.")
    try:
        with cache.hold(say):
            tools = cache.tree(recipe(mirror), say)
            loaders = cache.tree(signed.recipe(medium.arch, mirror), say)
            with cache.scratch() as scratch:
                _lay_out(medium, scratch, tools, loaders)
                say("writing the image")
                mbr = f"/{_AT}/mbr.img" if medium.bios else ""
                _inside(tools, scratch, image_argv(f"/{_AT}/medium", mbr, f"/{_AT}/medium.iso"))
                return _put(scratch / "medium.iso", target)
    except OSError as error:
        raise ImagedError(error.strerror or str(error), where=str(error.filename or "")) from None


def _lay_out(medium: Medium, scratch: Path, tools: Path, loaders: Path) -> None:
    tree = scratch / "medium"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / _MARK).parent.mkdir()
    (tree / _MARK).write_text(f"{medium.title}\n")
    (tree / "boot/grub/grub.cfg").write_text(medium.menu)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(medium.ramdisk / name, tree / "boot" / name)
    if medium.bios:
        (scratch / "find.cfg").write_text(_FIND)
        shutil.copyfile(tools / "usr/lib/grub/i386-pc/boot_hybrid.img", scratch / "mbr.img")
        _inside(tools, scratch, core_argv(f"/{_AT}/find.cfg", f"/{_AT}/medium/boot/grub/eltorito.img"))
    _efi_partition(scratch, tree / "boot/grub/efi.img", tools, loaders, signed.SIGNED[medium.arch].medium())


def _efi_partition(scratch: Path, image: Path, tools: Path, loaders: Path, files: dict[str, str]) -> None:
    """A small FAT filesystem with the removable path of UEFI (2.10, section 3.5.1.1): name there to file."""
    directory = scratch / "efi"
    directory.mkdir()
    for name, source in files.items():
        shutil.copyfile(loaders / source, directory / name)
    size = sum(path.stat().st_size for path in directory.iterdir())
    with image.open("wb") as out:
        out.truncate(-(-(size + MIB) // MIB) * MIB)
    at = f"/{_AT}/{image.relative_to(scratch)}"
    _inside(tools, scratch, ("mkfs.vfat", "--invariant", "-n", "IMAGED_EFI", at))
    _inside(tools, scratch, ("mmd", "-i", at, "::/EFI", "::/EFI/BOOT"))
    for name in files:
        _inside(tools, scratch, ("mcopy", "-i", at, f"/{_AT}/efi/{name}", f"::/EFI/BOOT/{name}"))


def _inside(tools: Path, scratch: Path, argv: tuple[str, ...]) -> None:
    for name in ("proc", "sys", "dev"):
        (tools / name).mkdir(exist_ok=True)  # a tree that was only unpacked lacks them
    run_inside(tools, argv, (Bind(scratch, _AT, writable=True),))


def _put(made: Path, target: Path) -> int:
    """Beside its place first: whoever copies it to a stick meanwhile copies a whole one. It holds a token: 0600."""
    fresh = target.with_name(f".{target.name}.new")
    try:
        shutil.copyfile(made, fresh)
        fresh.chmod(0o600)
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return target.stat().st_size
