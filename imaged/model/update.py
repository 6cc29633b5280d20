"""An update of a running node: what the server plans, and what the node tells. It cannot hold a disk step, by type.

The node's side is ``installer/node``, which shares no code with us: it reads the same plain JSON.
"""

from attrs import frozen

from imaged.model.codec import declare_steps
from imaged.model.plan import CheckFile, CopyFile, MakeLink, MoveFile, RemovePath, RunInTarget, WriteFile
from imaged.model.uefi import InstallGrub, MirrorEsp

UpdateStep = (
    WriteFile | CopyFile | MoveFile | RemovePath | MakeLink | RunInTarget | InstallGrub | MirrorEsp | CheckFile
)  # fmt: skip
# They are fewer than an install's: what is not listed cannot be decoded, so that no update can touch a disk.
declare_steps(UpdateStep, "an update")


@frozen
class Protected:
    """Paths that an update never writes or deletes. ``pattern`` is anchored: ``/etc/ssh/ssh_host_*``, ``/home/``.

    As in gitignore(5), ``*`` stops at ``/``, ``**`` does not, and a pattern that ends with ``/`` covers a directory's
    contents at every depth but not the directory itself. ``reason`` is shown to people.
    """

    pattern: str
    reason: str


@frozen
class Triggered:
    """A step of an update that runs only if a path matching one of ``when`` was changed; no patterns: always."""

    step: UpdateStep
    when: tuple[str, ...] = ()


@frozen
class Script:
    """A post-update script, run on the node in the order given. Non-zero fails the update."""

    name: str
    content: str


@frozen
class UpdateKernel:
    """A kernel of the version, newest first; paths as the node has them. ``initrd`` may be empty."""

    version: str
    image: str
    initrd: str = ""


@frozen
class Guard:
    """What stops an update unless it is confirmed: too many deletions, or another distribution on the node.

    ``deletes`` counts paths; ``os_id`` is os-release(5)'s ID of the version, empty: not compared.
    """

    deletes: int = 1000
    os_id: str = ""


@frozen
class UpdatePlan:
    """Everything one node needs to come into step with ``image`` (``compute@3``).

    ``serial`` names the whole of it: same serial, nothing to do. ``manifest`` is the path of the version's manifest on
    this server and ``manifest_sha256`` what it must hash to; ``entries`` and ``bytes`` are the version's.
    ``overrides`` is mtree(5) text of the files laid over the image for this node, their content by rsync's module
    ``overrides``. ``merge`` are files of users and groups, merged by name. ``loaders`` are the boot programs that the
    image keeps on its EFI system partition: they follow the image whatever else there is protected. ``fixups`` run in
    order after the tree is in step, then ``bootloader``, then ``scripts`` with ``variables`` in their environment.
    ``sparse`` are files of the image with holes, and the bytes that each takes.
    """

    node: str
    image: str
    serial: str
    manifest: str
    manifest_sha256: str
    entries: int
    bytes: int
    rsync_port: int
    overrides: str = ""
    protect: tuple[Protected, ...] = ()
    merge: tuple[str, ...] = ()
    loaders: tuple[str, ...] = ()
    fixups: tuple[Triggered, ...] = ()
    bootloader: tuple[Triggered, ...] = ()
    kernels: tuple[UpdateKernel, ...] = ()
    scripts: tuple[Script, ...] = ()
    variables: dict[str, str] = {}
    sparse: dict[str, int] = {}
    guard: Guard = Guard()
