"""Facts of what the server keeps on its disk: rights, room, database, image store, boot files, names of files."""

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from imaged.model.boot import LOADERS, RAMDISK_DIR, SHIMS
from imaged.model.errors import ImagedError
from imaged.model.names import ImageRef
from imaged.model.node import Node
from imaged.planning.doctor import images as image_facts
from imaged.planning.doctor.database import Database
from imaged.planning.doctor.ramdisk import Boot, Built
from imaged.planning.doctor.rights import Care, Entry
from imaged.planning.doctor.space import Volume
from imaged.planning.states import KINDS as STATES
from imaged.ramdisk import agent
from imaged.ramdisk.build import Ramdisk, read_ramdisk
from imaged.ramdisk.kernel import find_kernel
from imaged.ramdisk.make import cache_directory
from imaged.store import survey
from imaged.store.database import database_name, open_to_look
from imaged.store.images import Images
from imaged.store.paths import State, boot_loaders, shipped

_MODE = 0o7777
_IMAGE_KERNEL = "image:"


def entries(state: State, settings_file: Path, hidden: list[str], *, secrets: bool) -> tuple[Entry, ...]:
    """Every path that matters for who may do what. What may not be seen goes into ``hidden``.

    ``secrets``: there are some in the settings.
    """
    return tuple(_entries(state, settings_file, hidden, secrets=secrets))


def _entries(state: State, settings_file: Path, hidden: list[str], *, secrets: bool) -> Iterator[Entry]:
    def entry(path: Path, care: Care, *, needed: bool = False) -> Entry:
        try:
            found = path.stat()
        except FileNotFoundError:
            return Entry(str(path), care, needed=needed)
        except PermissionError:
            hidden.append(str(path))
            return Entry(str(path), care)
        return Entry(str(path), care, found.st_mode & _MODE, found.st_uid, path.is_dir(), needed)

    def inside(path: Path) -> list[Path]:
        try:
            return sorted(path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:
            hidden.append(str(path))
            return []

    yield entry(settings_file, Care.CLOSED if secrets else Care.OWN)
    yield entry(state.root, Care.OWN, needed=True)
    for path in (state.boot, state.images, state.logs, state.run):
        yield entry(path, Care.OWN, needed=True)
    for path in (state.layouts, state.rules, state.syncfiles, state.root / "overrides", state.root / "scripts"):
        yield entry(path, Care.OWN)
    for path in sorted((state.root / "scripts").rglob("*")):  # those of states run on this server
        yield entry(path, Care.OWN)
    if isinstance(state.database, Path):
        for name in ("", "-wal", "-shm"):
            yield entry(Path(f"{state.database}{name}"), Care.SECRET)
    for path in inside(state.images):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield entry(path, Care.SECRET)
    yield entry(state.run / "overrides", Care.SECRET)
    yield entry(state.vault, Care.SECRET)
    for home in inside(state.vault):
        yield entry(home, Care.SECRET)
        for path in inside(home):
            yield entry(path, Care.SECRET)


def owner(state: State) -> int | None:
    """Whose the state directory is."""
    try:
        return state.root.stat().st_uid
    except OSError:
        return None


def volumes(state: State) -> tuple[Volume, ...]:
    """The filesystems below the state directory, and that of the packages for ramdisks."""
    held: dict[int, tuple[Path, list[str]]] = {}
    for path, name in (
        (state.images, "images"), (state.root, "database"), (state.logs, "logs"), (state.boot, "boot files"),
        (cache_directory(), "packages for ramdisks"),
    ):  # fmt: skip
        there = next(each for each in (path, *path.parents) if each.exists())
        held.setdefault(there.stat().st_dev, (there, []))[1].append(name)
    return tuple(_volume(path, names) for path, names in held.values())


def _volume(path: Path, names: Sequence[str]) -> Volume:
    found = os.statvfs(path)
    return Volume(
        str(path), tuple(names), found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize,
        found.f_files, found.f_favail, bool(found.f_flag & os.ST_RDONLY),
    )  # fmt: skip


def largest(images: Images) -> tuple[int, int]:
    """Bytes and entries of the largest version."""
    sizes, counts = [0], [0]
    for name in images.names():
        for number in images.numbers(name):
            with suppress(ImagedError):
                version = images.version(name, number)
                sizes.append(version.bytes)
                counts.append(version.entries)
    return max(sizes), max(counts)


def database(path: Path | str) -> Database:
    """Looked at without changing it."""
    if isinstance(path, str):
        return _server(path)
    shown = str(path)
    if not path.exists():
        return Database(shown, there=False)
    if not os.access(path, os.R_OK):
        return Database(shown, hidden=True)
    try:
        found = survey.state_of(path)
    except sqlite3.Error as error:
        return Database(shown, fault=f"cannot be read: {error}")
    return Database(shown, damage=found.damage, schema=found.schema, missing=found.missing, orphans=found.orphans)


def _server(url: str) -> Database:
    shown = database_name(url)
    try:
        engine = open_to_look(url)
        found = survey.state_of_server(engine)
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImagedError) as error:
        said = str(getattr(error, "orig", None) or error)
        return Database(shown, server=True, fault=f"cannot be read: {' '.join(said.split())}")
    return Database(shown, server=True, schema=found.schema, missing=found.missing)


def store(images: Images) -> tuple[tuple[image_facts.Image, ...], tuple[str, ...]]:
    """The images as they lie there, and what is none. Raises PermissionError."""
    found, strange = survey.survey(images)
    return tuple(
        image_facts.Image(
            each.name, each.numbers, each.damaged, each.channels,
            tuple(image_facts.Leftover(str(left.path), left.kind, left.held) for left in each.left),
        )
        for each in found
    ), tuple(map(str, strange))  # fmt: skip


def boot(state: State, images: Images) -> Boot:
    """Ramdisks and loaders."""
    built = {}
    for path in sorted((state.boot / RAMDISK_DIR).glob("*")):
        found = read_ramdisk(path)
        built[path.name] = _built(found, images) if found else None
    files = [state.boot / name for name in (*LOADERS.values(), *SHIMS.values())]
    files += [each for path in (state.boot / RAMDISK_DIR).glob("*") for each in (path / "vmlinuz", path / "initrd.img")]
    modes = {str(path): path.stat().st_mode & _MODE for path in files if path.is_file()}
    return Boot(built, boot_loaders(state.boot), {path: mode for path, mode in modes.items() if not mode & 0o004})


def _built(found: Ramdisk, images: Images) -> Built:
    now = ""
    if found.source.startswith(_IMAGE_KERNEL):
        with suppress(ImagedError, OSError):
            ref = ImageRef.parse(found.source.removeprefix(_IMAGE_KERNEL))
            now = find_kernel(images.tree(images.resolve(ref))).version
    return Built(found.kernel, found.source, found.created, found.agent, found.dialect, now)


def agent_now() -> str:
    """The hash of the agent that this program would put into a ramdisk."""
    return agent.files_key(agent.agent_files(shipped("installer")))


def architectures(images: Images, nodes: Sequence[Node]) -> tuple[str, ...]:
    """Of the images of nodes; else of all images; else this machine's."""
    refs = {node.image for node in nodes}
    found = set()
    for ref in refs:
        with suppress(ImagedError):
            found.add(images.resolve(ref).facts.arch)
    if not found:
        for name in images.names():
            with suppress(ImagedError):
                found |= {version.facts.arch for version in images.versions(name)}
    return tuple(sorted(found)) or (platform.machine(),)


def layers(state: State) -> tuple[str, ...]:
    """Names below overrides/: ``all``, ``group/gpu``, ``node/n1.protect``."""
    found = []
    for path in _visible(state.root / "overrides"):
        if path.name in ("image", "group", "node") and path.is_dir():
            found += [f"{path.name}/{each.name}" for each in _visible(path)]
        else:
            found.append(path.name)
    return tuple(found)


def scripts(state: State) -> dict[str, tuple[str, ...]]:
    """Names of scripts by kind: ``post-install``, ``state/ready``."""
    root = state.root / "scripts"
    kinds = [path for path in (*_visible(root), *_visible(root / STATES)) if path.is_dir() and path != root / STATES]
    names = {kind: [path.name for path in _visible(kind) if not path.name.endswith("~")] for kind in kinds}
    return {str(kind.relative_to(root)): tuple(found) for kind, found in names.items()}


def _visible(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
