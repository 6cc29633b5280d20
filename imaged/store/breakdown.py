"""How many bytes of a tree lie below which directory: what a plan must know to share an image among filesystems."""

from collections.abc import Iterable

from imaged.store.manifest import Entry

_DEPTH = 2  # /var and /var/lib: mount points lie hardly ever deeper


def below(files: Iterable[Entry]) -> dict[str, int]:
    """Bytes below each directory of the first two levels, such as ``/var/lib``; ``files`` has hard links once."""
    found: dict[str, int] = {}
    for each in files:
        parts = each.path.split("/")[:-1]
        for depth in range(1, min(_DEPTH, len(parts)) + 1):
            directory = "/" + "/".join(parts[:depth])
            found[directory] = found.get(directory, 0) + each.size
    return found
