"""A sealed version of an image and the facts about it that plans depend on."""

from attrs import frozen

# By this file in an image its dracut has built, and builds, for any machine: it is written when that was done. What a
# golden client says in a file of its own may be younger than its initramfs.
DRACUT_GENERIC = "/etc/dracut.conf.d/90-imaged-generic.conf"


@frozen
class Kernel:
    """One kernel of an image: paths within it. ``initrd`` is empty where none was built."""

    version: str
    image: str
    initrd: str = ""


@frozen
class ImageFacts:
    """Footprints found in the tree when it was sealed: what is there, never what the name suggests.

    ``commands`` are the programs among those we may run that exist (``update-grub``, ``grub-install``, ...);
    ``units`` the enabled systemd units that matter; ``files`` those that exist of the paths
    fixups ask about; ``texts`` the contents of /etc/fstab and /etc/hosts, which fixups edit rather than replace.
    ``links`` are files that set up the network and the kind of link that each is for (``ethernet``, ``wifi``...).
    ``device_names`` are files that name disks and filesystems, with the names (``/dev/sda1``, ``UUID=...``).
    ``opens_crypts``: at its start it opens what /etc/crypttab names; None for versions sealed before this was asked.
    ``labelled``: its files have SELinux labels; None where its configuration asks for none.
    """

    arch: str
    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    kernels: tuple[Kernel, ...] = ()
    grub_platforms: tuple[str, ...] = ()
    grub_signed: bool = False
    commands: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    mke2fs_conf: str = ""
    texts: dict[str, str] = {}
    initramfs_generic: bool = False
    os_release: dict[str, str] = {}
    links: dict[str, str] = {}
    device_names: dict[str, tuple[str, ...]] = {}
    opens_crypts: bool | None = None
    labelled: bool | None = None


@frozen
class Version:
    """One sealed, immutable capture. ``bytes`` is the sum of file sizes (hard links once, no holes); ``created`` is
    ISO 8601 UTC.

    ``usage`` says how many of these bytes lie below a directory, for every directory of the first two levels (``/var``,
    ``/var/lib``); nothing for versions sealed before it was counted. ``sparse`` are the paths of files with holes and
    how many bytes of each are none.
    """

    image: str
    number: int
    created: str
    origin: str
    bytes: int
    entries: int
    manifest_sha256: str
    facts: ImageFacts
    recipe: str = ""
    usage: dict[str, int] = {}
    sparse: dict[str, int] = {}

    @property
    def ref(self) -> str:
        """``compute@3``."""
        return f"{self.image}@{self.number}"
