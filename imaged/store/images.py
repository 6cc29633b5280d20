"""The image store: working trees, sealed versions, channels.

``<root>/<image>/<number>/{tree/,manifest.mtree,version.json}`` is a version: one rename makes it, it never changes.
``<root>/<image>/channels/<channel>`` holds a number, and below it those before; it is replaced by one rename.
``<root>/<image>/.last`` is the highest number ever removed: no number means two things.
``<root>/<image>/.working/`` is a tree in the making: nobody is served from it, and the next build clears what a
broken one left. ``<root>/<image>/.resumable/`` is one that goes on where it was interrupted.
``<root>/<image>/.lock`` is held with flock(2) meanwhile, so it cannot outlive its process.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve, frozen

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, Denied, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef, image_name
from imaged.store import channels, durable, facts, seal, sharing
from imaged.store.manifest import Entry, format_manifest, parse_manifest
from imaged.store.tree import Tree

_GONE = ".gone-"  # prefix of what is being removed
_BUILD_ONE = "`imaged buildimage RECIPE` makes one."


@frozen
class Working:
    """A tree in the making. Valid only inside ``Images.working``. ``resumed``: an earlier one goes on in it."""

    image: str
    directory: Path
    resumed: bool = False

    @property
    def tree(self) -> Path:
        """The root of the tree."""
        return self.directory / "tree"


def utc_now() -> str:
    """ISO 8601, to the second: ``2026-11-21T03:11:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Images:
    """Every image below ``root``. Reading needs no lock: what is visible is whole."""

    def __init__(self, root: Path, now: Callable[[], str] = utc_now) -> None:
        self.root = root
        self._now = now

    def names(self) -> tuple[str, ...]:
        """Images with at least one version, sorted."""
        return tuple(path.name for path in _listed(self.root) if _is_image(path) and self._numbers(path.name))

    def versions(self, name: str) -> tuple[Version, ...]:
        """Oldest first; none for an image that does not exist. Raises BadInput for a damaged version."""
        return tuple(self._read(name, number) for number in self._numbers(image_name(name)))

    def all(self) -> tuple[Version, ...]:
        """Every version of every image."""
        return tuple(version for name in self.names() for version in self.versions(name))

    def resolve(self, ref: ImageRef) -> Version:
        """The version that ``ref`` means now. Raises NotFound that says what there is."""
        numbers = self._numbers(ref.image)
        if not numbers:
            others = ", ".join(self.names())
            hint = f"There are: {others}." if others else f"There is no image yet. {_BUILD_ONE}"
            raise NotFound(f"there is no image {ref.image!r}", hint=hint)
        channels = self.channels(ref.image)
        number = ref.version or channels.get(ref.channel)
        if number not in numbers:
            named = ", ".join(f"{channel} (version {number})" for channel, number in channels.items())
            known = f"Versions: {', '.join(map(str, numbers))}. Channels: {named or 'none'}."
            what = f"version {ref.version}" if ref.version else f"channel {ref.channel!r}"
            raise NotFound(f"image {ref.image} has no {what}", hint=known)
        return self._read(ref.image, number)

    def channels(self, name: str) -> dict[str, int]:
        """Channel -> number of the version it means, sorted by channel."""
        return {channel: history[0] for channel, history in channels.read(self._home(name) / "channels").items()}

    def histories(self, name: str) -> dict[str, tuple[int, ...]]:
        """Channel -> the numbers of the versions that it meant, the present one first."""
        return channels.read(self._home(name) / "channels")

    def tree(self, version: Version) -> Path:
        """The sealed tree. Nobody writes there."""
        return self._home(version.image) / str(version.number) / "tree"

    def manifest(self, version: Version) -> Path:
        """The mtree(5) file; ``entries`` reads it."""
        return self._home(version.image) / str(version.number) / "manifest.mtree"

    def entries(self, version: Version) -> tuple[Entry, ...]:
        """The manifest's entries. Raises BadInput when the file is not the one that was sealed."""
        path = self.manifest(version)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from None
        if hashlib.sha256(content).hexdigest() != version.manifest_sha256:
            raise BadInput("is not the manifest that was sealed", where=str(path), hint="Build the image again.")
        return tuple(parse_manifest(content.decode("ascii"), where=str(path)))

    @contextmanager
    def working(self, name: str, *, resume: bool = False) -> Iterator[Working]:
        """An empty tree to fill and then seal; gone afterwards if it was not sealed.

        With ``resume`` it stays, whatever happens, until it is sealed; the next one with ``resume`` finds it as it was.
        Raises Conflict while somebody else makes a version of this image.
        """
        home = self._home(image_name(name))
        # Images hold shadow files and set-user-ID programs: not a place for the server's other users.
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(home):
            directory = home / (".resumable" if resume else ".working")
            if not resume:
                _remove(directory)
            working = Working(name, directory, resumed=directory.exists())
            working.tree.mkdir(parents=True, exist_ok=resume)
            working.tree.chmod(0o755)  # the nodes' root directory, whatever umask we run with
            try:
                yield working
            finally:
                if not resume:
                    _remove(directory)

    def seal(
        self,
        working: Working,
        *,
        origin: str,
        recipe: str = "",
        on_hashed: Callable[[int], None] | None = None,
    ) -> Version:
        """Make the working tree the image's next version. ``origin`` says where it came from, for people.

        Raises Conflict when the tree still changes or something is mounted in it.
        """
        home = working.directory.parent
        sealed = seal.read_tree(working.tree, on_hashed=on_hashed)
        self._share(working, sealed.entries)
        text = "".join(format_manifest(sealed.entries))
        version = Version(
            image=working.image,
            number=self._next(working.image),
            created=self._now(),
            origin=origin,
            bytes=sealed.bytes,
            entries=len(sealed.entries),
            manifest_sha256=hashlib.sha256(text.encode("ascii")).hexdigest(),
            facts=facts.read(Tree(working.tree)),
            recipe=recipe,
        )
        durable.write_file(working.directory / "manifest.mtree", text)
        durable.write_file(working.directory / "version.json", to_json(version, indent=2) + "\n")
        durable.sync_filesystem(working.directory)
        working.directory.rename(home / str(version.number))
        durable.sync_directory(home)
        return version

    def _share(self, working: Working, entries: tuple[Entry, ...]) -> None:
        """With the newest version. One that is damaged is nothing to share with, and no reason not to seal."""
        for number in self._numbers(working.image)[-1:]:
            try:
                before = self._read(working.image, number)
                known = self.entries(before)
            except BadInput:
                return
            sharing.share(working.tree, entries, self.tree(before), known)

    def publish(self, version: Version, channel: str) -> None:
        """Move ``channel`` to ``version``. Raises NotFound when that version is not in the store."""
        if version.number not in self._numbers(version.image):
            raise NotFound(f"{version.ref} is not in the store")
        channels.move(self._home(version.image) / "channels", channel, version.number)

    def rollback(self, name: str, channel: str) -> tuple[int, Version]:
        """Move ``channel`` back to the version that it meant before: the number it leaves, and where it is now.

        Raises NotFound when there is no such channel, or nothing older that is still in the store.
        """
        present = self.resolve(ImageRef(name, channel=channel))
        number = channels.back(self._home(name) / "channels", channel, self._numbers(name))
        return present.number, self._read(name, number)

    def remove(self, version: Version) -> None:
        """Remove one version. It is out of sight by one rename; what a crash leaves then, the next removal clears.

        Who uses it, and which channels mean it, is the caller's question. Raises Conflict while the image is worked on.
        """
        home = self._home(version.image)
        with _locked(home):
            self._clear(home)
            durable.write_file(home / ".last", f"{max(self._last(version.image), version.number)}\n")
            (home / str(version.number)).rename(home / f"{_GONE}{version.number}")
            durable.sync_directory(home)
            self._clear(home)

    def remove_image(self, name: str) -> None:
        """Remove an image with everything that belongs to it. Raises NotFound, and Conflict while it is worked on."""
        home = self._home(name)
        if not self._numbers(name):
            raise NotFound(f"there is no image {name!r}")
        with _locked(home):
            _refuse_mounts(home)
            gone = self.root / f"{_GONE}{name}"
            if gone.exists():
                shutil.rmtree(gone)
            home.rename(gone)
            durable.sync_directory(self.root)
            shutil.rmtree(gone)

    def rename(self, name: str, to: str) -> None:
        """Give an image another name, versions and channels included. Raises NotFound and Conflict."""
        home, target = self._home(name), self._home(image_name(to))
        if not self._numbers(name):
            raise NotFound(f"there is no image {name!r}")
        if target.exists():
            raise Conflict(f"there is an image {to!r} already", hint="Choose another name, or remove it first.")
        with _locked(home):
            for number in self._numbers(name):  # each says its own name; a crash here is mended by doing it again
                version = evolve(self._read(name, number), image=to)
                durable.write_file(home / str(number) / "version.json", to_json(version, indent=2) + "\n")
            home.rename(target)
            durable.sync_directory(self.root)

    def _clear(self, home: Path) -> None:
        for gone in home.glob(f"{_GONE}*"):
            _remove(gone)

    def _next(self, name: str) -> int:
        known = (number for history in channels.read(self._home(name) / "channels").values() for number in history)
        return max((self._last(name), *self._numbers(name), *known)) + 1

    def _last(self, name: str) -> int:
        try:
            return int((self._home(name) / ".last").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def _home(self, name: str) -> Path:
        return self.root / name

    def _numbers(self, name: str) -> tuple[int, ...]:
        names = [path.name for path in _listed(self._home(name)) if path.is_dir()]
        return tuple(sorted(int(each) for each in names if each.isascii() and each.isdigit()))

    def _read(self, name: str, number: int) -> Version:
        path = self._home(name) / str(number) / "version.json"
        try:
            return from_json(path.read_bytes(), Version, where=str(path))
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from None


def _listed(directory: Path) -> list[Path]:
    """Sorted; nothing for a directory that is not there."""
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise Denied("only root may look into the images", where=str(directory), hint="Run it with sudo.") from None


def _is_image(path: Path) -> bool:
    try:
        return path.is_dir() and bool(image_name(path.name))
    except ImagedError:
        return False


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    with (home / ".lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise Conflict(
                f"a version of {home.name} is being made by process {holder or '?'}",
                where=str(home),
                hint="Wait for it, or end it.",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _remove(directory: Path) -> None:
    """Remove a working directory, but never reach through a mount into somebody's /dev or /home."""
    if not directory.exists():
        return
    _refuse_mounts(directory)
    shutil.rmtree(directory)


def _refuse_mounts(directory: Path) -> None:
    inside = [point for point in _mount_points() if point.is_relative_to(directory.resolve())]
    if inside:
        hint = "Unmount it, then try again."
        raise Conflict("something is mounted in a working tree", where=str(inside[0]), hint=hint)


def _mount_points() -> list[Path]:
    """proc_pid_mountinfo(5), field 5, with blanks and the like as ``\\ooo``."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return [Path(os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1"))) for line in lines]
