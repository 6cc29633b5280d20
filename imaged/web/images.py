"""Pages of images: which there are, their versions and who runs them, and what is different between two. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from imaged.model.image import Version
from imaged.model.life import Life
from imaged.model.node import NodeState
from imaged.model.size import format_size

MOST: Final = 2000  # paths of a difference that are listed
_UNDER_WAY: Final = (NodeState.INSTALLING, NodeState.FAILED)

Fold = Callable[[Sequence[str]], str]


@frozen
class Image:
    """A line of the list. ``channels``: name and number of the version."""

    name: str
    versions: int
    newest: int
    created: str
    size: str
    system: str
    channels: tuple[tuple[str, int], ...]
    nodes: int


@frozen
class Listing:
    """All images."""

    images: tuple[Image, ...]


@frozen
class Release:
    """A version. ``runs`` have it on their disks, ``gets`` are being given it, ``assigned`` are to have it: how many
    nodes, and their names, folded.

    ``channels`` mean it now. ``problem``: why it cannot be read.
    """

    number: int
    created: str = ""
    origin: str = ""
    size: str = ""
    entries: str = ""
    system: str = ""
    kernels: str = ""
    channels: tuple[str, ...] = ()
    runs: tuple[int, str] = (0, "")
    gets: tuple[int, str] = (0, "")
    assigned: tuple[int, str] = (0, "")
    problem: str = ""


@frozen
class Versions:
    """One image, its newest version first. ``history``: what each channel meant, the present first."""

    name: str
    versions: tuple[Release, ...]
    history: tuple[tuple[str, tuple[int, ...]], ...]
    old: int
    new: int


@frozen
class Difference:
    """From one version to another; ``paths``: kind of change, path, and what differs. ``more`` are not listed."""

    name: str
    old: int
    new: int
    counts: tuple[tuple[str, int], ...]
    below: str
    paths: tuple[tuple[str, str, str], ...]
    more: int


@frozen
class Users:
    """Version -> names of nodes."""

    runs: Mapping[str, Sequence[str]]
    gets: Mapping[str, Sequence[str]]
    assigned: Mapping[str, Sequence[str]]


def users(lives: Iterable[Life], meant: Mapping[str, str]) -> Users:
    """``meant``: an image as a definition names it (``compute@stable``) -> the version that it means."""
    runs: defaultdict[str, list[str]] = defaultdict(list)
    gets: defaultdict[str, list[str]] = defaultdict(list)
    assigned: defaultdict[str, list[str]] = defaultdict(list)
    for life in lives:
        getting = life.updating or (life.installing if life.state in _UNDER_WAY else "")
        wanted = meant.get(life.image, life.image)
        if life.installed:
            runs[life.installed].append(life.node)
        if getting:
            gets[getting].append(life.node)
        if wanted not in (life.installed, getting):
            assigned[wanted].append(life.node)
    return Users(runs, gets, assigned)


def listing(found: Iterable[tuple[str, Sequence[int], Version | None, Mapping[str, int]]], used: Users) -> Listing:
    """Of each image its name, the numbers of its versions, the newest if it can be read, and its channels."""
    nodes: defaultdict[str, set[str]] = defaultdict(set)
    for kind in (used.runs, used.gets, used.assigned):
        for ref, names in kind.items():
            nodes[ref.partition("@")[0]] |= set(names)
    return Listing(
        tuple(
            Image(
                name, len(numbers), numbers[-1], _day(newest), format_size(newest.bytes) if newest else "damaged",
                _system(newest), tuple(sorted(channels.items())), len(nodes[name]),
            )
            for name, numbers, newest, channels in found
        )
    )  # fmt: skip


def versions(
    name: str, found: Sequence[tuple[int, Version | str]], history: Mapping[str, Sequence[int]], used: Users, fold: Fold
) -> Versions:
    """Of each version its number, and itself or why it cannot be read; oldest first."""
    shown = tuple(_release(name, number, version, history, used, fold) for number, version in reversed(found))
    numbers = [number for number, version in found if isinstance(version, Version)]
    new = numbers[-1] if numbers else 0
    return Versions(
        name, shown, tuple((channel, tuple(each)) for channel, each in history.items()),
        numbers[-2] if len(numbers) > 1 else new, new,
    )  # fmt: skip


def _release(
    name: str, number: int, version: Version | str, history: Mapping[str, Sequence[int]], used: Users, fold: Fold
) -> Release:
    channels = tuple(channel for channel, each in history.items() if each and each[0] == number)
    ref = f"{name}@{number}"
    runs, gets, assigned = (
        (len(kind.get(ref, ())), fold(kind.get(ref, ()))) for kind in (used.runs, used.gets, used.assigned)
    )
    if isinstance(version, str):
        return Release(number, channels=channels, runs=runs, gets=gets, assigned=assigned, problem=version)
    return Release(
        number, version.created.replace("T", " ").removesuffix("Z"), version.origin, format_size(version.bytes),
        f"{version.entries:,}", _system(version), ", ".join(each.version for each in version.facts.kernels), channels,
        runs, gets, assigned,
    )  # fmt: skip


def difference(
    name: str, old: int, new: int, changes: Sequence[tuple[str, str, Sequence[str]]], below: str
) -> Difference:
    """``changes``: kind (add, change, delete), path, what differs. Only those ``below`` a path are listed."""
    kinds = [kind for kind, _, _ in changes]
    counts = tuple((kind, kinds.count(kind)) for kind in ("add", "change", "delete"))
    start = below.strip("/")
    inside = [each for each in changes if not start or each[1].strip("/") == start or each[1].startswith(f"{start}/")]
    listed = tuple((kind, f"/{path}", ", ".join(what)) for kind, path, what in inside[:MOST])
    return Difference(name, old, new, counts, f"/{start}" if start else "", listed, len(inside) - len(listed))


def _day(version: Version | None) -> str:
    return version.created[:10] if version else ""


def _system(version: Version | None) -> str:
    if version is None:
        return ""
    facts = version.facts
    return facts.os_name or " ".join(filter(None, (facts.os_id, facts.os_version))) or facts.arch
