"""The image store: working trees, sealed versions, channels.

``<root>/<image>/<number>/{tree/,manifest.mtree,version.json}`` is a version: one rename makes it, it never changes.
``<root>/<image>/channels/<channel>`` holds a number, and below it those before; it is replaced by one rename.
``<root>/<image>/.last`` is the highest number ever removed, ``<root>/.last/<image>`` that of an image that was removed
or renamed: no number means two things.
``<root>/<image>/.working/`` is a tree in the making: nobody is served from it, and the next build clears what a
broken one left. ``<root>/<image>/.resumable/`` is one that goes on where it was interrupted, ``.edit/`` see ``edits``.
``<root>/<image>/.lock`` is held meanwhile, ``.edit.lock`` by an editor. What is called ``.gone-*`` is being removed.
Which image and number a version is, its directory says; ``version.json`` says it again for those who read files.
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, Denied, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef, image_name
from imaged.store import channels, damage, durable, facts, seal, sharing
from imaged.store.keeps import refuse_lossy
from imaged.store.manifest import Entry, format_manifest, parse_manifest
from imaged.store.mounts import refuse_mounts
from imaged.store.tree import Tree
from imaged.store.working import EDIT_LOCK, GONE, Working, alone, begun, clear, locked, remove

_LAST = ".last"
_EMPTY = frozenset((".lock", EDIT_LOCK, _LAST, "channels"))  # what an image without any version or work in it has
TIED = ".tied"  # in a working tree's directory: files of the tree may be those of a sealed version
_BUILD_ONE = "`imaged buildimage RECIPE` makes one."

_SETTLED = 2 * 10**9  # nanoseconds: a directory that changed later than this may change again and keep its time


Note = Callable[[str, str, dict[str, Any], dict[str, Any]], None]


def utc_now() -> str:
    """ISO 8601, to the second: ``2026-11-21T03:11:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Images:
    """Every image below ``root``. Reading needs no lock: what is visible is whole.

    ``note`` hears of every change once it is done: what, of which image, what was there before and what is now.
    """

    def __init__(self, root: Path, now: Callable[[], str] = utc_now, note: Note = lambda *change: None) -> None:
        self.root = root
        self._now = now
        self._note = note
        self._resolved: dict[ImageRef, tuple[tuple[int, ...], Version]] = {}

    def names(self) -> tuple[str, ...]:
        """Images with at least one version, sorted."""
        return tuple(path.name for path in _listed(self.root) if _is_image(path) and self._numbers(path.name))

    def unfinished(self) -> tuple[str, ...]:
        """Names that have no version, only what an interrupted build or capture left; sorted."""
        left = (path.name for path in _listed(self.root) if _is_image(path) and not self._numbers(path.name))
        return tuple(name for name in left if any(self._home(name).glob(".[rw]*/tree")))

    def numbers(self, name: str) -> tuple[int, ...]:
        """Numbers of the versions, oldest first, damaged ones too; none for an image that does not exist."""
        return self._numbers(image_name(name))

    def version(self, name: str, number: int) -> Version:
        """One of ``numbers``. Raises BadInput for a damaged one."""
        return self._read(name, number)

    def versions(self, name: str) -> tuple[Version, ...]:
        """Oldest first; none for an image that does not exist. Raises BadInput for a damaged version."""
        return tuple(self._read(name, number) for number in self._numbers(image_name(name)))

    def all(self) -> tuple[Version, ...]:
        """Every version of every image."""
        return tuple(version for name in self.names() for version in self.versions(name))

    def resolve(self, ref: ImageRef) -> Version:
        """The version that ``ref`` means now. Raises NotFound that says what there is.

        It is asked for every boot script and transfer, so it is remembered until there is another version or channel.
        """
        stamp = self._stamp(ref.image)
        known = self._resolved.get(ref)
        if known and known[0] == stamp:
            return known[1]
        version = self._resolve(ref)
        if time.time_ns() - max(stamp, default=0) > _SETTLED:
            self._resolved[ref] = stamp, version
        return version

    def _stamp(self, name: str) -> tuple[int, ...]:
        """What makes a version or a channel, and what removes it, is a rename in one of these directories."""
        found = []
        for path in (f"{self.root}/{name}", f"{self.root}/{name}/channels"):
            with suppress(OSError):
                found.append(os.stat(path).st_mtime_ns)  # noqa: PTH116 - a tenth of the time
        return tuple(found)

    def _resolve(self, ref: ImageRef) -> Version:
        if not ref:
            hint = "`imaged setnode NODES --image NAME`, or `imaged setgroup GROUP --image NAME`."
            raise NotFound("nobody said an image for it or for its groups", hint=hint)
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
    def working(self, name: str, *, copy_of: Version | None = None, resume: bool = False) -> Iterator[Working]:
        """A tree to fill and then seal: empty, or a copy of a version. It is gone afterwards if it was not sealed.

        With ``resume`` it stays, whatever happens, until it is sealed; the next one with ``resume`` finds it as it was.
        Raises Conflict while somebody else makes a version of this image and where the store's filesystem keeps only
        a part of what files are, ImagedError for a full disk.
        """
        home = self._home(image_name(name))
        with durable.explained(home):
            # Images hold shadow files and set-user-ID programs: not a place for the server's other users.
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_lossy(home)
            with locked(home):
                directory = home / (".resumable" if resume else ".working")
                try:
                    yield begun(name, directory, self.tree(copy_of) if copy_of else None, resume=resume)
                finally:
                    if not resume:
                        remove(directory)

    def seal(
        self,
        working: Working,
        *,
        origin: str,
        recipe: str = "",
        on_hashed: Callable[[int], None] | None = None,
        base: Version | None = None,
        exactly: bool = False,
    ) -> Version:
        """Make the working tree the image's next version. ``origin`` says where it came from, for people.

        ``base`` is the version that the tree was copied from, or linked to; the newest one without it. With ``exactly``
        the tree must be what was sealed there. Raises Conflict
        when the tree still changes or something is mounted in it, Damaged when the tree has what a disk made of a file
        of ``base``, ImagedError for a full disk: the tree is then as it was, but ``TIED``.
        """
        home = working.directory.parent
        with durable.explained(working.directory):
            sealed = seal.read_tree(working.tree, on_hashed=on_hashed)
            older = self._older(base, working.image)
            if older and (copied := damage.copied(sealed.entries, self.tree(older[0]), older[1])):
                raise damage.Damaged(older[0].ref, copied)
            text = "".join(format_manifest(sealed.entries))
            digest = hashlib.sha256(text.encode("ascii")).hexdigest()
            if exactly and base and digest != base.manifest_sha256:
                hint = f"`imaged verifyimage {base.ref}` says what is damaged."
                raise Conflict("is not what was sealed any more", where=base.ref, hint=hint)
            version = Version(
                image=working.image,
                number=0,
                created=self._now(),
                origin=origin,
                bytes=sealed.bytes,
                entries=len(sealed.entries),
                manifest_sha256=digest,
                facts=facts.read(Tree(working.tree)),
                recipe=recipe,
                usage=sealed.usage,
                sparse=sealed.sparse,
            )
            if older:
                durable.write_file(working.directory / TIED, "")
                with suppress(OSError):  # it saves room, and the version is whole without it
                    sharing.share(working.tree, sealed.entries, self.tree(older[0]), older[1])
            durable.write_file(working.directory / "manifest.mtree", text)
            durable.sync_filesystem(working.directory)
            placed = self._place(working, version)
        (home / str(placed.number) / TIED).unlink(missing_ok=True)
        self._note("version made", placed.image, {}, {"version": placed.ref, "origin": origin})
        return placed

    def _older(self, base: Version | None, name: str) -> tuple[Version, tuple[Entry, ...]] | None:
        """What the new version is compared and shared with. A damaged manifest is no reason not to seal."""
        with suppress(BadInput):
            for number in [] if base else self._numbers(name)[-1:]:
                base = self._read(name, number)
            return (base, self.entries(base)) if base else None
        return None

    def _place(self, working: Working, version: Version) -> Version:
        """The next number may be taken while we write it down: an editor and a capture may seal at once."""
        home = working.directory.parent
        while True:
            numbered = evolve(version, number=self._next(working.image))
            durable.write_file(working.directory / "version.json", to_json(numbered, indent=2) + "\n")
            try:
                working.directory.rename(home / str(numbered.number))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue
            durable.sync_directory(home)
            return numbered

    def publish(self, version: Version, channel: str) -> None:
        """Move ``channel`` to ``version``. Raises NotFound when that version is not in the store."""
        if version.number not in self._numbers(version.image):
            raise NotFound(f"{version.ref} is not in the store")
        with durable.explained(self._home(version.image)):
            before = channels.move(self._home(version.image) / "channels", channel, version.number)
        self._note("channel moved", version.image, {channel: before} if before else {}, {channel: version.number})

    def rollback(self, name: str, channel: str) -> tuple[int, Version]:
        """Move ``channel`` back to the version that it meant before: the number it leaves, and where it is now.

        Raises NotFound when there is no such channel, or nothing older that is still in the store.
        """
        present = self.resolve(ImageRef(name, channel=channel))
        with durable.explained(self._home(name)):
            number = channels.back(self._home(name) / "channels", channel, self._numbers(name))
        self._note("channel moved", name, {channel: present.number}, {channel: number})
        return present.number, self._read(name, number)

    def remove(self, name: str, number: int) -> None:
        """Remove one version. It is out of sight by one rename; what a crash leaves then, the next removal clears.

        Who uses it, and which channels mean it, is the caller's question. Raises NotFound, and Conflict while a version
        of the image is made.
        """
        home = self._home(name)
        if number not in self._numbers(name):
            raise NotFound(f"{name}@{number} is not in the store")
        with durable.explained(home), locked(home):
            durable.write_file(home / _LAST, f"{max(self._last(name), number)}\n")
            try:
                (home / str(number)).rename(home / f"{GONE}{number}-{os.getpid()}")
            except FileNotFoundError:  # another was faster
                raise NotFound(f"{name}@{number} is not in the store") from None
            durable.sync_directory(home)
            self._note("version removed", name, {"version": f"{name}@{number}"}, {})
            clear(home)

    def remove_image(self, name: str) -> None:
        """Remove an image with everything that belongs to it, an unfinished one too.

        Raises NotFound, and Conflict while it is worked on or edited.
        """
        home = self._home(image_name(name))
        if not self._numbers(name) and name not in self.unfinished():
            raise NotFound(f"there is no image {name!r}")
        with durable.explained(home), alone(home):
            refuse_mounts(home)
            there = {"versions": list(self._numbers(name)), "channels": self.channels(name)}
            self._remember(name)
            home.rename(self.root / f"{GONE}{name}-{os.getpid()}")
            durable.sync_directory(self.root)
            self._note("image removed", name, there, {})
            clear(self.root)

    def rename(self, name: str, to: str) -> None:
        """Give an image another name, versions, channels and a kept copy included, by one rename.

        Raises NotFound, and Conflict when the new name is taken or the image is worked on or edited.
        """
        home, target = self._home(image_name(name)), self._home(image_name(to))
        if not self._numbers(name):
            raise NotFound(f"there is no image {name!r}")
        taken = Conflict(f"there is an image {to!r} already", hint="Choose another name, or remove it first.")
        if any(path.name not in _EMPTY for path in _listed(target)):
            raise taken
        with durable.explained(home), alone(home):
            refuse_mounts(home)
            if target.exists():
                with alone(target):
                    self._remember(to)
                    remove(target)
            self._remember(name)
            try:
                home.rename(target)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise taken from None
                raise
            durable.sync_directory(self.root)
            self._note("image renamed", name, {"name": name}, {"name": to})
            for number in self._numbers(to):  # for people who read it
                text = to_json(self._read(to, number), indent=2) + "\n"
                durable.write_file(target / str(number) / "version.json", text)

    def _remember(self, name: str) -> None:
        (self.root / _LAST).mkdir(mode=0o700, exist_ok=True)
        durable.write_file(self.root / _LAST / name, f"{self._next(name) - 1}\n")

    def _next(self, name: str) -> int:
        known = (number for history in channels.read(self._home(name) / "channels").values() for number in history)
        return max((self._last(name), *self._numbers(name), *known)) + 1

    def _last(self, name: str) -> int:
        return max(_number(self._home(name) / _LAST), _number(self.root / _LAST / name))

    def _home(self, name: str) -> Path:
        return self.root / name

    def _numbers(self, name: str) -> tuple[int, ...]:
        names = [path.name for path in _listed(self._home(name)) if path.is_dir()]
        return tuple(sorted(int(each) for each in names if each.isascii() and each.isdigit()))

    def _read(self, name: str, number: int) -> Version:
        path = self._home(name) / str(number) / "version.json"
        try:
            return evolve(from_json(path.read_bytes(), Version, where=str(path)), image=name, number=number)
        except OSError as error:
            hint = f"`imaged rmimage {name}@{number}` removes this version."
            raise BadInput(f"cannot be read: {error.strerror}", where=str(path), hint=hint) from None


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


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0
