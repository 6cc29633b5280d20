"""Makes one tree of merged overrides: files copied with all their attributes, templates rendered."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from attrs import define, evolve, field

from imaged.model.errors import Conflict, Denied, ImagedError
from imaged.model.override import OURS, Laid, Merged
from imaged.store import seal
from imaged.store.layers import Found, readable
from imaged.store.lowest import TIME, Given
from imaged.store.manifest import Entry, Kind

_FICLONE = 0x40049409  # ioctl_ficlone(2)
# Labels that the policy of this server gave; the node's own policy gives its own.
_LOCAL = frozenset(("security.selinux", "security.ima", "security.evm", "security.SMACK64"))

Render = Callable[[bytes, str], bytes]


@define
class Laying:
    """One tree in the making, at ``root``. ``image`` gives directories that the image has their attributes.

    ``render`` turns a template (its content, its name for errors) into text.
    """

    root: Path
    image: Path
    layers: dict[str, Found]
    given: dict[str, Given]
    render: Render
    _dressed: list[tuple[Path, Entry]] = field(factory=list)
    _linked: dict[tuple[str, int], Path] = field(factory=dict)

    def lay(self, merged: Merged) -> None:
        """Raises ImagedError naming the path: what is in overrides is somebody's doing."""
        self._directory(Path(), None)
        for each in merged.paths:
            try:
                self._put(each)
            except PermissionError as error:
                hint = "The daemon must run as root, or with CAP_CHOWN, CAP_FOWNER and CAP_DAC_READ_SEARCH."
                raise Denied(f"{error.strerror}", where=_where(each), hint=hint) from None
            except FileNotFoundError:
                raise Conflict("changed while it was copied", where=_where(each), hint="Try again.") from None
            except OSError as error:
                raise ImagedError(f"cannot be copied: {error.strerror}", where=_where(each)) from None
        for path, entry in reversed(self._dressed):  # what is put into a directory changes its time
            dress(path, entry)

    def _put(self, each: Laid) -> None:
        at = self.root / each.path
        for parent in reversed(Path(each.path).parents[:-1]):
            if not (self.root / parent).is_dir():
                self._directory(parent, None)
        layer = self.layers[each.layer]
        entry = layer.entries[each.source]
        given = self.given.get(each.source) if each.layer == OURS else None
        if each.directory:
            self._directory(Path(each.path), entry)
        elif entry.kind is Kind.LINK:
            at.symlink_to(entry.target)
            dress(at, entry)
        elif given:
            self._write(at, given.content, entry)
        elif layer.is_template(each):
            self._write(at, self.render(layer.read(each.source), _where(each)), entry)
        else:
            self._copy(layer.root / each.source, at, entry, each)

    def _directory(self, path: Path, entry: Entry | None) -> None:
        """One that the image has stays as the image has it: an override there is about what is in it."""
        at = self.root / path
        own = self.image / path
        if own.is_dir() and not own.is_symlink():
            entry = next(seal.walk(own))
        if not at.is_dir():
            at.mkdir()
        self._dressed.append((at, entry or Entry(str(path), Kind.DIRECTORY, 0o755, 0, 0, TIME)))

    def _write(self, at: Path, content: bytes, entry: Entry) -> None:
        at.write_bytes(content)
        dress(at, entry)

    def _copy(self, source: Path, at: Path, entry: Entry, each: Laid) -> None:
        with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as original:
            status = os.fstat(original.fileno())
            first = self._linked.get((each.layer, status.st_ino))
            if first is not None:
                at.hardlink_to(first)
                return
            with at.open("xb") as copy:
                _copy_data(original.fileno(), copy.fileno())
                length = os.fstat(copy.fileno()).st_size
            after = os.fstat(original.fileno())
        if (after.st_mtime_ns, length) != (entry.time, entry.size):
            raise Conflict("changed while it was copied", where=_where(each), hint="Try again.")
        if status.st_nlink > 1:
            self._linked[each.layer, status.st_ino] = at
        dress(at, entry)


def dress(path: Path, entry: Entry) -> None:
    """Owner, mode, extended attributes, time, in the order in which none undoes the one before (chown(2))."""
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    link = entry.kind is Kind.LINK
    if not link:
        path.chmod(entry.mode)
    for name, value in entry.xattrs:
        if name not in _LOCAL:
            os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(entry.time, entry.time), follow_symlinks=False)


def given_layer(name: str, given: tuple[Given, ...]) -> Found:
    """The lowest layer as if it had been found on a disk."""
    entries = {}
    for each in given:
        kind = Kind.LINK if each.target else Kind.FILE
        entry = Entry(each.path, kind, each.mode, 0, 0, TIME, target=each.target)
        entries[each.path] = entry if each.target else evolve(entry, size=len(each.content))
    return Found(name, Path(), entries)


def _copy_data(source: int, target: int) -> None:
    """Shared with the original where the filesystem can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        with open(source, "rb", closefd=False) as original, open(target, "wb", closefd=False) as copy:
            shutil.copyfileobj(original, copy, 1 << 20)


def _where(each: Laid) -> str:
    return readable(f"overrides/{each.layer}/{each.source}")
