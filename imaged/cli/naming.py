"""What the verbs that name machines share: which machines are meant, and what is said of one that has a name now."""

from collections.abc import Iterable, Sequence

from imaged.admin.naming import Named
from imaged.model.machine import Machine
from imaged.planning import discovery


def line(named: Named) -> str:
    """``node001: 52:54:00:00:00:01, 10.0.0.11 (bios)``."""
    node = named.node
    place = f", {node.address}" if node.address else ""
    rule = f", by rule {named.rule}" if named.rule else ""
    return f"{node.name}: {', '.join(map(str, node.macs))}{place} ({named.machine.arch or 'unknown firmware'}){rule}"


def meant(machines: Sequence[Machine], texts: Iterable[str]) -> tuple[Machine, ...]:
    """Those that a person names by MACs, serial numbers and the like. Raises NotFound, BadInput."""
    return tuple(dict.fromkeys(discovery.find(machines, text) for text in texts))


def what(machine: Machine) -> str:
    """``Dell Inc. PowerEdge R640 serial ABC123``, or empty."""
    serial = f"serial {machine.serial}" if machine.serial else ""
    return " ".join(word for word in (machine.vendor, machine.product, serial) if word)
