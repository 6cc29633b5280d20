"""How much of an image lands on each filesystem of a layout. Pure."""

from collections.abc import Iterable

from imaged.model.image import Version


def needs(version: Version, mounts: Iterable[str]) -> dict[str, int]:
    """Bytes of ``version`` for each of ``mounts``, ``/`` among them.

    A mount point that the version did not count gets nothing, and what lies there is reckoned to the filesystem above
    it: an install that has too much room is better than one that ends with a full disk.
    """
    places = sorted({mount for mount in mounts if mount}, key=len)
    found = {place: _below(version, place) for place in places}
    for place in places:
        for inner in _directly_below(place, places):
            found[place] -= _below(version, inner)
    return {place: max(0, size) for place, size in found.items()}


def _below(version: Version, mount: str) -> int:
    return version.bytes if mount == "/" else version.usage.get(mount, 0)


def _directly_below(outer: str, places: Iterable[str]) -> list[str]:
    """Mount points in ``outer`` that lie in no other mount point in it."""
    inside = [place for place in places if place != outer and _is_below(place, outer)]
    return [place for place in inside if not any(_is_below(place, other) for other in inside if other != place)]


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
