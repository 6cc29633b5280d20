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


def machine_id(site: UUID, node: str, generation: int = 0) -> str:
    """32 hex digits for machine-id(5). A re-imaged node keeps its own: DHCP and journals key on it.

    ``generation`` counts how often the node has become another.
    """
    return _own(site, node, "machine-id", generation).hex


def iscsi_name(site: UUID, node: str, generation: int = 0) -> str:
    """The initiator's iSCSI name (RFC 7143, section 4.2.7.2), under the name that Open-iSCSI has for its own."""
    return f"iqn.2016-04.com.open-iscsi:{_own(site, node, 'iscsi', generation).hex[:12]}"


def nvme_host_id(site: UUID, node: str, generation: int = 0) -> str:
    """The NVMe host's UUID; its qualified name is made of it (NVM Express Base Specification 2.0, section 4.5.1)."""
    return str(_own(site, node, "nvme", generation))


def _own(site: UUID, node: str, what: str, generation: int) -> UUID:
    return uuid5(site, f"{node}:{what}:{generation}" if generation else f"{node}:{what}")
