"""Where things are on the server, and the one function that turns a name from outside into a path."""

import errno
import os
import stat
import sys
from pathlib import Path

from attrs import frozen

from imaged.model.boot import LOADERS, SHIMS
from imaged.model.errors import NotFound
from imaged.model.settings import Settings

_LONGEST_NAME = 1024  # characters; a TFTP request has 512 at most
_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})


def shipped(*parts: str) -> Path:
    """A file that we ship (recipes, autoinstall scripts, the agent): from the checkout, else from the installation."""
    checkout = Path(__file__).resolve().parents[2]
    for root in (checkout, Path(sys.prefix) / "share/imaged", Path("/usr/share/imaged")):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise NotFound(f"{'/'.join(parts)} is not part of this installation", hint="Install imaged again.")


def boot_loaders(boot: Path) -> tuple[str, ...]:
    """Those that firmware may start and that are there, as paths below the boot directory."""
    return tuple(name for name in (*LOADERS.values(), *SHIMS.values()) if (boot / name).is_file())


def find_beneath(root: Path, name: str) -> Path:
    """The file that ``name`` (from the wire) means below ``root``, every symbolic link resolved.

    Leading slashes are dropped and ``\\`` is a slash: firmware sends both. ``..``, NUL, oversized names, links that
    lead out of ``root`` and what is not there raise NotFound: one answer for all, so that nobody learns what exists
    outside.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or "\0" in name or len(name) > _LONGEST_NAME or ".." in parts:
        raise NotFound("no such file")
    try:
        real_root = root.resolve(strict=True)
        real = real_root.joinpath(*parts).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # missing, not encodable, a loop of links
        raise NotFound("no such file") from None
    if not real.is_relative_to(real_root):
        raise NotFound("no such file")
    return real


def open_beneath(root: Path, name: str) -> int:
    """A file descriptor for the regular file that ``find_beneath`` finds. Raises NotFound for anything else.

    Raises OSError only when we are out of descriptors or memory or the disk fails, which is no answer to the asker.
    """
    try:
        # O_NONBLOCK: opening a fifo must not wait for its writer.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(find_beneath(root, name), flags)
    except OSError as error:
        if error.errno in _OUR_TROUBLE:
            raise
        raise NotFound("no such file") from None
    if _is_file_beneath(descriptor, root):
        return descriptor
    os.close(descriptor)
    raise NotFound("no such file")


def _is_file_beneath(descriptor: int, root: Path) -> bool:
    """Asked of what was opened: a directory on the way may have become a link after the name was resolved."""
    try:
        opened = Path("/proc/self/fd", str(descriptor)).readlink()
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and opened.is_relative_to(root.resolve())
    except OSError:
        return False


def socket_path(settings: Settings, state: "State") -> Path:
    """Where local users reach the API."""
    return Path(settings.api.socket or state.run / "imaged.sock")


@frozen
class State:
    """The state directory: everything the server keeps, but for a database that is elsewhere (``server``: its URL)."""

    root: Path
    server: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "State":
        """What the settings name."""
        return cls(Path(settings.state), settings.database)

    @property
    def database(self) -> Path | str:
        """Nodes, leases, installs: as ``open_database`` takes it."""
        return self.server or self.root / "imaged.sqlite"

    @property
    def images(self) -> Path:
        """One directory per image; see ``store.images``."""
        return self.root / "images"

    @property
    def boot(self) -> Path:
        """What network boot serves: boot loaders, kernel, ramdisk. The root of TFTP and of ``/boot/`` by HTTP."""
        return self.root / "boot"

    @property
    def logs(self) -> Path:
        """One log per node, and the rsync daemon's."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Short-lived files: one configuration per rsync connection, locks."""
        return self.root / "run"

    @property
    def vault(self) -> Path:
        """Private keys of nodes, for their next install; see ``store.vault``."""
        return self.root / "vault"

    @property
    def syncfiles(self) -> Path:
        """The list of files that are kept equal on nodes; see ``planning.syncfiles``."""
        return self.root / "syncfiles.yaml"

    @property
    def layouts(self) -> Path:
        """The site's own layouts; those we ship are found after them."""
        return self.root / "layouts"

    @property
    def rules(self) -> Path:
        """By which machines without a name get one; see docs/nodes.md."""
        return self.root / "rules.yaml"
