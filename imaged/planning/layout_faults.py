"""Every rule that a disk layout must keep, whatever the machine: the themes put together."""

from collections.abc import Iterator

from imaged.planning.array_rules import array_faults
from imaged.planning.boot_rules import boot_faults, console_faults
from imaged.planning.content_rules import content_faults
from imaged.planning.layout_draft import Draft
from imaged.planning.layout_rules import disk_faults, partition_faults
from imaged.planning.member_rules import member_faults
from imaged.planning.mount_rules import mount_faults
from imaged.planning.preserve_rules import preserve_faults
from imaged.planning.stack_rules import reference_faults
from imaged.planning.volume_rules import group_faults, name_faults
from imaged.planning.when_rules import when_faults


def faults_of(draft: Draft) -> Iterator[str]:
    """Every broken rule as ``path: what is wrong``. What only the whole shows is told where all of it could be read."""
    for disk in draft.disks:
        yield from disk_faults(disk)
        for at, partition in disk.partitions:
            yield from partition_faults(at, partition)
    for holder in draft.holders():
        yield from content_faults(holder)
    yield from array_faults(draft)
    for group in draft.lvm:
        yield from group_faults(group)
    yield from name_faults(draft)
    yield from when_faults(draft)
    yield from mount_faults(draft)
    yield from console_faults(draft)
    if draft.complete:
        yield from reference_faults(draft)
        yield from member_faults(draft)
        yield from preserve_faults(draft)
        yield from boot_faults(draft)
