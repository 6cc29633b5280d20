"""Trees of Debian packages that programs, kernels and boot loaders are taken from: made by mmdebstrap and cached.

The server itself may run any distribution and is never given a package for the ramdisk's sake.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from imaged.binfmt import check_runs
from imaged.model.arch import DEBIAN_NAMES
from imaged.model.codec import to_json
from imaged.model.errors import CommandFailed, Denied, ImagedError
from imaged.model.size import GIB, format_size
from imaged.process import stream

Say = Callable[[str], None]

DEFAULT_CACHE = Path("/var/cache/imaged")
_GENERATION = 1  # raise it when the way a tree is made changes, so that old ones are made again
_ROOM = 2 * GIB  # what a tree and its packages take while it is being made, at most
_BUILDING = ".building-"
_KEY = re.compile(r"-[0-9a-f]{16}$")  # how every key ends: see digest
_UNUSED = 24 * 3600.0  # seconds; a tree may be in use by another program as long as it lives


@frozen
class TreeRecipe:
    """What a tree is made of.

    ``installed``: maintainer scripts run, so that the programs in it can be run; else files are only unpacked.
    ``mirror`` is the URL of a package archive; empty: mmdebstrap's own choice for the suite. ``arch`` is the processor
    (uname -m) that the packages are for; empty: this machine's.
    """

    name: str
    packages: tuple[str, ...]
    installed: bool = False
    suite: str = "bookworm"
    mirror: str = ""
    components: tuple[str, ...] = ("main",)
    arch: str = ""

    @property
    def key(self) -> str:
        """Directory in the cache: the name and a hash of everything that decides the tree's contents."""
        return f"{self.name}-{digest(to_json(self), str(_GENERATION))}"


def digest(*parts: str | bytes) -> str:
    """16 hex digits of a SHA-256 over the parts, each with its length so that they cannot run together."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "big") + raw)
    return total.hexdigest()[:16]


def mmdebstrap_argv(recipe: TreeRecipe, target: Path) -> tuple[str, ...]:
    """mmdebstrap(1) in a mount namespace of its own: killed at any moment, it leaves no mounts behind."""
    return (
        "unshare", "--mount", "--propagation", "private", "--",
        "mmdebstrap", "--mode=root", f"--variant={'essential' if recipe.installed else 'extract'}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        *((f"--architectures={DEBIAN_NAMES[recipe.arch]}",) if recipe.arch else ()),
        f"--components={','.join(recipe.components)}",
        f"--include={','.join(recipe.packages)}",
        recipe.suite, str(target), *((recipe.mirror,) if recipe.mirror else ()),
    )  # fmt: skip


class Cache:
    """Finished trees below ``root``. A tree that is there is whole: it is made beside its place and moved there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def tree(
        self, recipe: TreeRecipe, say: Say, *, renew: bool = False, finish: Callable[[Path], None] = lambda tree: None
    ) -> Path:
        """The tree of ``recipe``, made when missing; ``finish`` completes a new one before it counts as made.

        Call it while holding the cache. Raises ImagedError (no space, no mmdebstrap, no such package).
        """

        def make(path: Path) -> None:
            if shutil.which("mmdebstrap") is None:
                raise CommandFailed("mmdebstrap is not installed", hint="Install it: most distributions package it.")
            if recipe.installed and recipe.arch:
                check_runs(recipe.arch)
            say(f"fetching {', '.join(recipe.packages[:3])}{' ...' if recipe.packages[3:] else ''} ({recipe.suite})")
            stream(mmdebstrap_argv(recipe, path), _notable(say))
            finish(path)

        return self.keep(recipe.key, make, renew=renew)

    def keep(self, key: str, make: Callable[[Path], None], *, renew: bool = False) -> Path:
        """The directory of that key. When missing (or to ``renew``), what ``make`` leaves in the empty one it is given.

        Nothing stays of a ``make`` that fails; an old one is replaced by a whole new one only.
        """
        path = self.root / key
        if path.is_dir() and not renew:
            os.utime(path)  # used: see prune
            return path
        free = shutil.disk_usage(self.root).free
        if free < _ROOM:
            raise ImagedError(
                f"only {format_size(free)} are free and {format_size(_ROOM)} may be needed",
                where=str(self.root),
                hint="Free some, or name another place in the environment variable IMAGED_CACHE.",
            )
        with self.scratch() as scratch:
            made = scratch / "made"
            made.mkdir(mode=0o755)
            make(made)
            if path.exists():
                path.rename(scratch / "old")
            made.rename(path)
            os.utime(path)
        return path

    def prune(self, keep: int = 8, *, now: float | None = None) -> None:
        """Forget trees that nobody used for a day, but for the ``keep`` that were used last.

        Only what ``keep`` made: people have other directories beside them, a whole state directory for one.
        """
        ours = [path for path in self.root.iterdir() if _KEY.search(path.name) and path.is_dir()]
        used = sorted(((path.stat().st_mtime, path) for path in ours), reverse=True)
        long_ago = (time.time() if now is None else now) - _UNUSED
        for when, path in used[keep:]:
            if when < long_ago:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory that is gone afterwards, also after a signal; a kill -9 leaves it to the next ``hold``."""
        path = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self.root))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def hold(self, say: Say) -> Iterator[None]:
        """One builder at a time. Raises Denied without root: trees hold files of several owners."""
        if os.geteuid() != 0:
            raise Denied("building a ramdisk needs root", hint="It unpacks packages and runs programs in their tree.")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ImagedError(
                f"cannot keep a cache: {error.strerror}",
                where=str(self.root),
                hint="Set IMAGED_CACHE to another place.",
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another mkramdisk to finish")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            for left_over in self.root.glob(f"{_BUILDING}*"):
                shutil.rmtree(left_over, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)


def _notable(say: Say) -> Callable[[str], None]:
    """Of mmdebstrap's many lines, those that tell how far it is."""

    def pick(line: str) -> None:
        if line.startswith("I: ") and line.endswith("..."):
            say(line[3:])

    return pick
