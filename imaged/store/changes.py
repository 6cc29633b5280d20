"""What is different between two lists of entries of a tree."""

from collections.abc import Iterable

from attrs import frozen

from imaged.store.manifest import Entry, Kind


@frozen
class Changes:
    """Paths as in a manifest, without the leading ``./``; each in the manifest's order."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.deleted)


def between(before: Iterable[Entry], after: Iterable[Entry]) -> Changes:
    """What a person would call different. The times of directories and links follow from other changes.

    A digest counts where both have one: a file that somebody wrote to has another time in any case.
    """
    old = {entry.path: entry for entry in before}
    new = {entry.path: entry for entry in after}
    return Changes(
        added=tuple(path for path in new if path not in old),
        changed=tuple(path for path in new if path in old and _differ(old[path], new[path])),
        deleted=tuple(path for path in old if path not in new),
    )


def reasons(one: Entry, other: Entry) -> tuple[str, ...]:
    """In what two entries of one path differ, in words; group numbers say nothing across manifests."""
    pairs = (
        ("type", one.kind, other.kind),
        ("mode", one.mode, other.mode),
        ("owner", (one.uid, one.gid), (other.uid, other.gid)),
        ("size", one.size, other.size),
        ("content", one.sha256, other.sha256),
        ("time", one.time, other.time),
        ("link", one.target, other.target),
        ("device", one.device, other.device),
        ("links", one.links, other.links),
        ("attributes", one.xattrs, other.xattrs),
    )
    found = tuple(word for word, mine, theirs in pairs if mine != theirs)
    return found if one.kind is not Kind.DIRECTORY or found != ("time",) else ()


def different(before: Iterable[Entry], after: Iterable[Entry]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(add, change or delete; path; what differs), in the order of the manifests. Times of directories do not count."""
    old, new = {entry.path: entry for entry in before}, {entry.path: entry for entry in after}
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for path, entry in new.items():
        if path not in old:
            found.append(("add", path, (entry.kind.value,)))
        elif what := reasons(old[path], entry):
            found.append(("change", path, what))
    return found + [("delete", path, (entry.kind.value,)) for path, entry in old.items() if path not in new]


def _differ(one: Entry, other: Entry) -> bool:
    if one.sha256 and other.sha256 and one.sha256 != other.sha256:
        return True
    return _essence(one) != _essence(other)


def _essence(entry: Entry) -> tuple[object, ...]:
    time = entry.time if entry.kind is Kind.FILE else 0
    owner = (entry.mode, entry.uid, entry.gid)
    return (entry.kind, *owner, time, entry.size, entry.target, entry.device, entry.xattrs)
