"""Identities that are chosen before a disk is touched, so that every file that names them can be planned."""

from uuid import UUID, uuid5

from imaged.model.stack import Filesystem


def filesystem_uuid(site: UUID, node: str, mount: str, fs: Filesystem) -> str:
    """The UUID of the filesystem that ``node`` mounts at ``mount`` (the partition's id for one mounted nowhere).

    For vfat it is the volume id ``XXXX-XXXX``. ``site`` is the server's own random UUID, so that ``node01`` of two
    clusters never share a filesystem.
    """
    chosen = uuid5(site, f"{node}:{mount}")
    if fs is Filesystem.VFAT:
        volume = chosen.hex[:8].upper()
        return f"{volume[:4]}-{volume[4:]}"
    return str(chosen)


def swap_uuid(site: UUID, node: str, partition: str) -> str:
    """The UUID of a swap area, by the layout's id of its partition."""
    return str(uuid5(site, f"{node}:swap:{partition}"))


def machine_id(site: UUID, node: str) -> str:
    """32 hex digits for machine-id(5). A re-imaged node keeps its own: DHCP and journals key on it."""
    return uuid5(site, f"{node}:machine-id").hex
