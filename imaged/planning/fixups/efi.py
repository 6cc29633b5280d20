"""Ready UEFI loaders on the node's ESP: copied byte for byte, so that signatures hold; a stub finds the menu."""

from imaged.model.plan import CopyFile, RemovePath, Step, WriteFile
from imaged.planning.fixups.target import Target
from imaged.planning.platforms import Chain, chains

_STUB = """\
search --no-floppy --fs-uuid --set=dev {uuid}
set prefix=($dev){path}
export prefix
configfile $prefix/grub.cfg
"""


def ready_loaders(target: Target) -> tuple[Step, ...]:
    """Every chain that the image brings, in its vendor's directory and where firmware looks without an entry.

    shim's fallback program stays away from the removable path: it would write an entry that comes before the network's
    (shim's README.fallback).
    """
    esp = target.system.esp
    if esp is None:
        return ()
    steps: list[Step] = []
    removable = f"{esp.mount}/EFI/BOOT"
    for chain in chains(target.facts):
        vendor = f"{esp.mount}/EFI/{chain.vendor}"
        files = (chain.first, *chain.others)
        if chain.directory != vendor:
            steps += (_copy(f"{chain.directory}/{name}", f"{vendor}/{name}") for name in files)
        steps.append(_stub(target, vendor))
        if target.system.boot.removable_path:
            steps += _removable(target, chain, removable)
    return tuple(dict.fromkeys(steps))


def loader_path(chain: Chain) -> str:
    """What an entry of the firmware names, a path on the ESP. The removable path needs no entry: it is there when the
    vendor's directory is not whole."""
    return f"/EFI/{chain.vendor}/{chain.first}"


def boot_path(target: Target) -> str:
    """The directory of kernels as GRUB and boot entries spell it: from the top of the filesystem that holds it."""
    if target.system.at("/boot"):
        return ""
    subvolume = target.system.root.subvolume.strip("/")
    return f"/{subvolume}/boot" if subvolume else "/boot"


def boot_uuid(target: Target) -> str:
    """UUID of the filesystem that holds /boot."""
    return (target.system.at("/boot") or target.system.root).uuid


def _removable(target: Target, chain: Chain, directory: str) -> list[Step]:
    beside = [_copy(f"{chain.directory}/{name}", f"{directory}/{name}") for name in chain.others]
    return [
        *beside,
        _copy(f"{chain.directory}/{chain.first}", f"{directory}/{chain.efi.removable}"),
        RemovePath(f"{directory}/f*b*.efi", "shim's fallback would put an entry before the network's"),
        _stub(target, directory),
    ]


def _stub(target: Target, directory: str) -> Step:
    path = f"{boot_path(target)}/grub2"
    text = _STUB.format(uuid=boot_uuid(target), path=path)
    return WriteFile(f"{directory}/grub.cfg", text, reason="the menu is on the node's own filesystem")


def _copy(source: str, to: str) -> Step:
    return CopyFile(source, to, reason="boot loader for UEFI, as it was signed")
