"""The install of one node as a plan: layout, image, hardware and node in, every step out. Nothing is touched here."""

import hashlib
from uuid import UUID

from attrs import frozen

from imaged.model.codec import to_json
from imaged.model.hardware import Inventory
from imaged.model.host import Host
from imaged.model.image import Version
from imaged.model.layout import Layout
from imaged.model.node import Node
from imaged.model.plan import (
    InstallPlan,
    MakeTable,
    Mount,
    Phase,
    Reboot,
    Step,
    SyncOverrides,
    SyncTree,
    Unmount,
    WipeDisk,
)
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, System
from imaged.planning import additions
from imaged.planning.additions import NOTHING_ADDED, Additions
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.order import BOOTLOADER, FIRMWARE, FIXUPS, apply
from imaged.planning.fixups.target import Target
from imaged.planning.layout import check
from imaged.planning.storage import Filled, Storage, storage
from imaged.planning.touched import before_fixups, record


@frozen
class Site:
    """What the server itself adds: its own random UUID, its base URL, what its subnet tells nodes, and what was said of
    the node's own system. ``generation`` counts how often the node has become another."""

    uuid: UUID
    server: str
    dns: tuple[str, ...] = ()
    domain: str = ""
    host: Host = Host()
    generation: int = 0


def plan(
    node: Node, version: Version, layout: Layout, inventory: Inventory, site: Site, added: Additions = NOTHING_ADDED
) -> InstallPlan:
    """Everything the install of ``version`` on this machine will do. Raises CannotPlan before anything is written."""
    return plan_with_system(node, version, layout, inventory, site, added)[0]


def plan_with_system(
    node: Node, version: Version, layout: Layout, inventory: Inventory, site: Site, added: Additions = NOTHING_ADDED
) -> tuple[InstallPlan, System]:
    """The plan, and what it makes of the disks. Raises CannotPlan."""
    check(layout, version.facts, inventory)
    made = storage(node.name, version, layout, inventory, site.uuid)
    check(made.layout, version.facts, inventory)  # again: a condition may have left out what makes it start
    target = target_of(node, version, made.system, inventory, site)
    chosen = {each.disk.path for each in made.disks}
    install = InstallPlan(
        node=node.name,
        image=version.ref,
        layout=layout.name,
        phases=_phases(target, version, made, added),
        lost=tuple(_lost(each) for each in made.disks),
        kept=(*made.kept, *(str(disk) for disk in inventory.disks if disk.path not in chosen)),
    )
    return install, made.system


def target_of(node: Node, version: Version, system: System, inventory: Inventory, site: Site) -> Target:
    """What fixups may know, at an install and at each update after it."""
    return Target(
        node, version.facts, inventory, site.uuid, site.server, system, site.dns, site.domain, site.host,
        site.generation,
    )  # fmt: skip


def plan_hash(install: InstallPlan) -> str:
    """Short name of exactly this plan: sha256 of its JSON, 16 hex digits."""
    return hashlib.sha256(to_json(install).encode()).hexdigest()[:16]


def _lost(each: Filled) -> str:
    stays = f"; stays: partition {', '.join(map(str, each.keeps))}" if each.keeps else ""
    return f"{each.disk}: {each.disk.contents or 'nothing recognised on it'}{stays}"


def _phases(target: Target, version: Version, made: Storage, added: Additions) -> tuple[Phase, ...]:
    said = additions.variables(target, version, tuple(each.disk for each in made.disks), added.groups)
    native = [each for each in target.system.filesystems if each.fs is not Filesystem.VFAT]
    foreign = [each for each in target.system.filesystems if each.fs is Filesystem.VFAT]
    fixups, loader = apply(FIXUPS, target), apply(BOOTLOADER, target)
    own = record((*before_fixups(target.system), *fixups, *loader))
    return (
        Phase("pre-install", additions.before(added, said)),
        Phase("wipe", tuple(WipeDisk(each.disk, each.keeps) for each in made.disks)),
        Phase("partition", tuple(MakeTable(each.disk, each.spec.label, each.places) for each in made.disks)),
        Phase("mkfs", made.stack),
        Phase("mount", tuple(map(_mount, _outer_first(native)))),
        Phase("transfer", (*_transfer(version, _outer_first(foreign), added.rules), *made.swap_files)),
        Phase("fixups", (*fixups, own)),
        Phase("post-install", additions.after(added, said)),
        Phase("bootloader", (*loader, *made.mirrors, *apply(FIRMWARE, target))),
        Phase("verify", checks(target)),
        Phase("unmount", (Unmount(),)),
        Phase("reboot", (Reboot(),)),
    )


def _outer_first(filesystems: list[PlannedFilesystem]) -> list[PlannedFilesystem]:
    return sorted(filesystems, key=lambda each: each.mount)


def _mount(each: PlannedFilesystem) -> Mount:
    return Mount(each.device, each.fs, each.mount, each.options)


def _transfer(version: Version, foreign: list[PlannedFilesystem], rules: tuple[str, ...]) -> tuple[Step, ...]:
    """The tree first, without what lies below filesystems that know no owners; then those, mounted over it."""
    below = tuple(f"{each.mount}/*" for each in foreign)
    steps: list[Step] = [SyncTree(version.ref, "/", version.bytes, version.entries, exclude=below, rules=rules)]
    for each in foreign:
        steps.append(_mount(each))
        if each.mount in version.facts.files:  # an image that never had a boot loader installed brings no ESP
            steps.append(SyncTree(version.ref, each.mount, 0, 0, foreign=True, rules=rules))
    return (*steps, *_overrides(below, foreign))


def _overrides(below: tuple[str, ...], foreign: list[PlannedFilesystem]) -> tuple[Step, ...]:
    """Over the whole image and before the fixups, which win: they are what makes this node start."""
    return (SyncOverrides(exclude=below), *(SyncOverrides(each.mount, foreign=True) for each in foreign))
