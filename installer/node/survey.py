"""A node's tree against everything it should be: the image, the overrides over it, and what fixups made its own."""

import os
import stat
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, NamedTuple, Set

from installer.node import look, manifest, mounts, scan
from installer.node.compare import FIXUP, MISSING, OVERRIDE, Difference, compare, type_of
from installer.node.known import Known
from installer.node.manifest import Entry
from installer.node.mounts import Mounts
from installer.node.patterns import chooser, matcher
from installer.node.place import inside, lasting
from installer.node.steps import matches, written

# Our own files below the root, and where the next version of a file is put together.
_OURS = ("/var/lib/imaged/", "/.imaged", "**/.imaged")


class Rules(NamedTuple):
    """Whose business a path is. ``protected`` gives the reason why it is nobody's, or nothing; ``closed`` the same for
    paths of overrides, which somebody laid there on purpose: only our own files and other mounts are closed to them.
    ``alone``: whether a path is brought by itself and never by an rsync of the tree: what lies on a coarse filesystem,
    and boot programs."""

    protected: Callable[[bytes], str]
    closed: Callable[[bytes], str]
    way: Callable[[bytes], bool]
    fixups: Callable[[bytes], bool]
    overrides: Dict[bytes, Entry]
    merged: FrozenSet[bytes]
    mounts: Mounts
    alone: Callable[[bytes], bool]


def rules_of(plan: Dict[str, Any], root: str) -> Rules:
    """Read from a plan, and from what is mounted now."""
    said = [(each["pattern"], each["reason"]) for each in plan.get("protect", ())]
    said += [(pattern, "imaged's own") for pattern in _OURS]
    which = chooser(pattern for pattern, _ in said)
    where = mounts.read(_content("/proc/self/mountinfo"), _content(os.path.join(root, "etc/fstab")), os.fsencode(root))

    free = _with_parents(each.lstrip("/").encode("utf-8", "surrogateescape") for each in plan.get("loaders", ()))

    def protected(path: bytes) -> str:
        number = which(path) if path not in free else None
        return said[number][1] if number is not None else where.reason(path)

    ours = matcher(_OURS)

    def closed(path: bytes) -> str:
        return "imaged's own" if ours(path) else where.reason(path)

    fixed = written(plan.get("fixups", ()))
    overrides = {entry.path: entry for entry in manifest.entries(plan.get("overrides", "").encode("ascii"))}
    return Rules(
        protected,
        closed,
        _way([pattern for pattern, _ in said] + list(fixed), overrides),
        matcher(fixed),
        overrides,
        frozenset(each.lstrip("/").encode("utf-8", "surrogateescape") for each in plan.get("merge", ())),
        where,
        lambda path: path in free or where.is_coarse(path),
    )


def _way(patterns: Iterable[str], overrides: Iterable[bytes]) -> Callable[[bytes], bool]:
    """Whether a directory is on the way to a path of somebody other than the image."""
    given = [each[:-2] if each.endswith("/**") else each for each in patterns]
    wild = matcher(each.rstrip("/") for each in given if set(each) & set("*?["))
    exact = {each.strip("/").encode("utf-8", "surrogateescape") for each in given if not set(each) & set("*?[")}
    steps = _with_parents(set(overrides) | exact)
    return lambda path: path in steps or wild(path)


def _with_parents(paths: Iterable[bytes]) -> Set[bytes]:
    found = set(paths)
    for path in tuple(found):
        while b"/" in path:
            path = path.rpartition(b"/")[0]
            found.add(path)
    return found


def survey(
    root: str, known: Known, rules: Rules, checksum: bool = False, directory: bytes = b""
) -> Iterator[Difference]:
    """Paths of the image, then of overrides, that are not as they should be, and paths that nothing provides.

    Fixups' paths are ``drifted_fixups``' business: an update carries the steps out again in any case. Raises OSError.
    """
    top = os.fsencode(root)

    def skip(path: bytes) -> bool:
        over = rules.overrides.get(path)
        return (over is not None and over.kind != "dir") or rules.fixups(path) or bool(rules.protected(path))

    for found in scan.scan(
        top, known.path, known.stamps, scan.Rules(skip, rules.mounts, checksum, directory, rules.way)
    ):
        yield found
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for found in _overrides(fd, rules, checksum, directory):
            yield found
    finally:
        os.close(fd)


def _overrides(fd: int, rules: Rules, checksum: bool, directory: bytes) -> Iterator[Difference]:
    """A directory of an override only says where its files go: the image's own keeps its owner and mode."""
    closely = look.at(fd)
    for path, entry in rules.overrides.items():
        within = not directory or path == directory or path.startswith(directory + b"/")
        if path == b"." or not within or rules.fixups(path) or rules.closed(path):
            continue
        try:
            status = os.stat(path, dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            yield Difference(path, entry, OVERRIDE, MISSING, "")
            continue
        if entry.kind == "dir" and stat.S_ISDIR(status.st_mode):
            continue
        what = compare(entry, status, closely, checksum, rules.mounts.is_coarse(path)) - {"links"}
        if what:
            yield Difference(path, entry, OVERRIDE, what, type_of(status))


def drifted_fixups(root: str, plan: Dict[str, Any]) -> Iterator[Difference]:
    """Paths that are not as the fixups left them."""
    for each in plan.get("fixups", ()):
        step = each["step"]
        kind = step["step"]
        if kind == "RemovePath":
            for name in matches(root, step["path"]):
                yield Difference(_relative(root, name), None, FIXUP, frozenset(("extra",)), "file")
        elif kind in ("WriteFile", "MakeLink"):
            what = _unlike(step, root)
            if what:
                path = step["path"].lstrip("/").encode("utf-8", "surrogateescape")
                yield Difference(path, None, FIXUP, frozenset(what), "file" if what != {"missing"} else "")


def _unlike(step: Dict[str, Any], root: str) -> Set[str]:
    link = step["step"] == "MakeLink"
    at = inside(root, step["path"], follow=False) if link else lasting(root, step["path"])
    try:
        status = os.lstat(at)
    except (FileNotFoundError, NotADirectoryError):
        return {"missing"}
    if link:
        return set() if stat.S_ISLNK(status.st_mode) and os.readlink(at) == step["target"] else {"link"}
    if not stat.S_ISREG(status.st_mode):
        return {"type"}
    found: Set[str] = set()
    if stat.S_IMODE(status.st_mode) != int(step.get("mode") or "0644", 8):
        found.add("mode")
    with open(at, "rb") as file:
        if file.read() != step["content"].encode("utf-8", "surrogateescape"):
            found.add("content")
    return found


def _relative(root: str, path: str) -> bytes:
    return os.fsencode(os.path.relpath(path, root))


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
