"""PURE: the last look before the first write: is the disk behind a path still the one that was planned for?"""

from collections.abc import Iterable, Iterator

from imaged.model.errors import Conflict
from imaged.model.hardware import Disk
from imaged.model.plan import InstallPlan, MakeTable, WipeDisk

_IDENTITY = ("size", "logical_sector", "model", "serial", "wwn")


def disks_of(plan: InstallPlan) -> Iterator[Disk]:
    """Every disk that the plan will write a table to or wipe, once each."""
    seen: set[str] = set()
    for phase in plan.phases:
        for step in phase.steps:
            if isinstance(step, WipeDisk | MakeTable) and step.disk.path not in seen:
                seen.add(step.disk.path)
                yield step.disk


def confirm(planned: Disk, found: Iterable[Disk]) -> None:
    """Raises Conflict unless ``planned`` is among ``found``, the same in every mark of identity, writable and free."""
    here = next((disk for disk in found if disk.path == planned.path), None)
    if here is None:
        raise Conflict(f"the plan wants {planned}, but it is gone", hint="Start the machine again from the network.")
    for name in _IDENTITY:
        was, now = getattr(planned, name), getattr(here, name)
        if was != now:
            raise Conflict(
                f"this is not the disk of the plan: {name} is {now or 'empty'}, planned was {was or 'empty'}",
                where=str(here),
                hint="Nothing was written. Start the machine again from the network.",
            )
    if here.read_only:
        raise Conflict("the disk is read-only", where=str(here), hint="Look for a write-protect switch.")
    if here.in_use:
        raise Conflict(
            f"the disk is in use: {here.in_use}", where=str(here), hint="Start the machine again from the network."
        )
