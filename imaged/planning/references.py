"""How a layout names what something is made of: ``os.pv``, ``os[0].b``, ``os[*].b``, ``md-root``. Pure."""

import re

from attrs import frozen

from imaged.model.errors import BadInput

_ID = "[A-Za-z0-9][A-Za-z0-9_-]*"
_PARTITION = re.compile(rf"({_ID})(?:\[(\*|0|[1-9][0-9]{{0,3}})\])?\.({_ID})")
_BARE = re.compile(_ID)


@frozen
class Reference:
    """Partition ``part`` of disk entry ``disk``; without ``disk`` the array, encrypted device or volume ``part``.

    Of which disks: of each (``every``), of the ``index``-th from 0, or of the only one (neither).
    """

    disk: str
    index: int | None = None
    every: bool = False
    part: str = ""

    def __str__(self) -> str:
        """What ``parse_reference`` reads back as the same."""
        if not self.disk:
            return self.part
        which = "[*]" if self.every else "" if self.index is None else f"[{self.index}]"
        return f"{self.disk}{which}.{self.part}"


def parse_reference(text: str) -> Reference:
    """Read ``os.pv``, ``os[0].b``, ``os[*].b`` or a bare id. Raises BadInput."""
    if _BARE.fullmatch(text):
        return Reference("", part=text)
    found = _PARTITION.fullmatch(text)
    if not found:
        raise BadInput(
            f"{text!r} names no device",
            hint="Write os.pv, os[0].pv or os[*].pv for partitions, or the id of an array, encrypted device or volume.",
        )
    disk, which, part = found.groups()
    return Reference(disk, int(which) if which and which != "*" else None, which == "*", part)
