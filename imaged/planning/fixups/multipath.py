"""Multipath's memory of the golden client's storage network."""

from imaged.model.plan import RemovePath, Step
from imaged.planning.fixups.target import Target


def multipath(target: Target) -> tuple[Step, ...]:
    """multipathd(8) makes all three anew; with them a node would claim disks by numbers of another machine's, or hold
    reservations with its key. /etc/multipath.conf is the admin's and stays."""
    if "/etc/multipath" not in target.facts.files:
        return ()
    reason = "disks of the golden client's storage network"
    return tuple(RemovePath(f"/etc/multipath/{name}", reason) for name in ("wwids", "bindings", "prkeys"))
