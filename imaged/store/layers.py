"""The layers of overrides on the server's disk: what is in them, and a cheap word for "nothing has changed"."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen

from imaged.model.errors import BadInput, Conflict, Denied
from imaged.model.override import TEMPLATE, Laid, Layer, Listed
from imaged.store import seal
from imaged.store.manifest import Entry, Kind
from imaged.store.tree import Tree

_SHORTEST = 1.0  # seconds in which a layer is not looked at again
_SHARE = 20  # a walk that took long is repeated after this many times as long: 5 % of a core at most
_HOLDS = frozenset({Kind.FILE, Kind.DIRECTORY, Kind.LINK})


@frozen
class Found:
    """A layer as it is on the disk: ``entries`` by their path in it, without the root."""

    name: str
    root: Path
    entries: dict[str, Entry]

    def is_template(self, laid: Laid) -> bool:
        """Whether the file of this layer is rendered."""
        return self.entries[laid.source].kind is Kind.FILE and _is_template(laid.source)

    def read(self, source: str) -> bytes:
        """The content of a file of this layer; a link in its place is not followed."""
        with open(os.open(self.root / source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return file.read()

    def listing(self, image: Tree | None) -> Layer:
        """Where each path goes; with ``image``, past the links that it has on the way.

        /lib is a link in images of today: a directory of that name in an override means where the link leads, or it
        would take the link's place and leave the node without its libraries.
        """
        return Layer(
            self.name,
            tuple(
                Listed(_place(each, image), each.kind is Kind.DIRECTORY, path) for path, each in self.entries.items()
            ),
        )


def read_layer(root: Path, name: str) -> Found:
    """The layer ``name`` below ``root``; nothing if it is not there. Raises BadInput or Denied naming the path.

    Names that are no Unicode text, and those with a newline, are names like any other.
    """
    directory = root / name
    try:
        if not directory.is_dir():
            return Found(name, directory, {})
        entries = {entry.path: entry for entry in seal.walk(directory) if entry.path != "."}
    except PermissionError as error:
        raise Denied("cannot be read", where=_shown(name, error.filename), hint="Run it as root.") from None
    except FileNotFoundError as error:
        raise Conflict("changed while it was read", where=_shown(name, error.filename), hint="Try again.") from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=_shown(name, error.filename)) from None
    for entry in entries.values():
        if entry.kind not in _HOLDS:
            raise BadInput(
                f"is a {_SAID[entry.kind]}",
                where=readable(f"overrides/{name}/{entry.path}"),
                hint="Overrides hold files, directories and symbolic links; devices are udev's to make.",
            )
    return Found(name, directory, entries)


_SAID = {
    Kind.CHARACTER: "character device", Kind.BLOCK: "block device", Kind.FIFO: "named pipe", Kind.SOCKET: "socket",
}  # fmt: skip


def _is_template(path: str) -> bool:
    """A file that is called just ``.j2`` would have no name left."""
    return path.endswith(TEMPLATE) and path.rpartition("/")[2] != TEMPLATE


def _place(entry: Entry, image: Tree | None) -> str:
    path = entry.path
    if entry.kind is Kind.FILE and _is_template(path):
        path = path.removesuffix(TEMPLATE)
    if image is None:
        return path
    there = image.locate(f"/{path}") if entry.kind is Kind.DIRECTORY else None
    at = image.locate(f"/{path}", follow=there is not None and there.is_dir())
    if at is None:
        raise BadInput(f"/{path} leads into a loop of links in the image")
    return str(at.relative_to(image.root))


def readable(path: str) -> str:
    """A path as one line of Unicode text, whatever its bytes are: ``na\\x0ame``."""
    return "".join(each if each.isprintable() else _hex(each) for each in path)


def _hex(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


def _shown(name: str, filename: object) -> str:
    return readable(os.fsdecode(filename) if isinstance(filename, (bytes, str)) else f"overrides/{name}")


@frozen
class Look:
    """What was seen, and until when it is taken for what is there."""

    fingerprint: str
    until: float


@define
class Watch:
    """Tells cheaply whether trees changed: each is walked (lstat only) once a second at most, whoever asks.

    ctime and inode of every path go into a fingerprint; nobody can set ctime, so a change is never missed, only seen
    up to a second late (later for trees whose walk takes long: twenty times the walk).
    """

    clock: Callable[[], float] = time.monotonic
    _looks: dict[str, Look] = field(factory=dict)

    def look(self, path: str) -> Look:
        """At the tree or file at ``path``; also of one that is not there."""
        begun = self.clock()
        look = self._looks.get(path)
        if look is None or begun >= look.until:
            found = fingerprint(path)
            ended = self.clock()
            look = self._looks[path] = Look(found, ended + max(_SHORTEST, _SHARE * (ended - begun)))
        return look


def fingerprint(path: str) -> str:
    """Of what is at ``path`` now: 16 hex digits. What cannot be looked at counts as such, without an error."""
    hashed = hashlib.blake2b(digest_size=8)
    for name, status in _stats(os.fsencode(path)):
        hashed.update(b"%d %s %d %d %d\n" % (len(name), name, status[0], status[1], status[2]))
    return hashed.hexdigest()


def _stats(path: bytes) -> Iterator[tuple[bytes, tuple[int, int, int]]]:
    todo = [path]
    while todo:
        here = todo.pop()
        try:
            status = os.lstat(here)
            yield here, (status.st_mode, status.st_ino, status.st_ctime_ns)
            if stat.S_ISDIR(status.st_mode):
                todo += [here + b"/" + name for name in sorted(os.listdir(here), reverse=True)]  # noqa: PTH208 - bytes
        except OSError as error:
            yield here, (0, error.errno or 0, 0)


def combined(parts: Sequence[str]) -> str:
    """One fingerprint of several: 16 hex digits."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
