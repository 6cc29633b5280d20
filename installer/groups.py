"""LVM volume groups and volumes: made and started with lvm(8), argv by pure functions."""

from imaged.model.errors import Conflict
from imaged.model.plan import MakeGroup, MakeVolume, StartGroup
from installer.arrays import appeared
from installer.process import Run

# Of the ramdisk's making nothing may last: no list of devices, no owner of groups, no archive, no daemon to wait for.
# thin_check is not in the ramdisk; the installed system's own lvm runs it at every activation.
_NOBODY, _SOMEBODY = 'system_id_source="none"', 'system_id_source="lvmlocal"'
_CONFIG = (
    f'devices{{use_devicesfile=0}} global{{{_NOBODY} thin_check_executable="" use_lvmpolld=0}} '
    "activation{monitoring=0} backup{backup=0 archive=0}"
)


def lvm(command: str, *words: str) -> tuple[str, ...]:
    """One command of lvm(8), under the ramdisk's own rules."""
    return ("lvm", command, "--config", _CONFIG, *words)


def make_group(step: MakeGroup, run: Run) -> None:
    """Physical volumes, then the group on them."""
    run(("wipefs", "--all", "--force", *step.members))
    run(("udevadm", "settle"))
    for argv in create_group(step):
        run(argv)


def create_group(step: MakeGroup) -> tuple[tuple[str, ...], ...]:
    """pvcreate and vgcreate. A group of that name elsewhere in the machine makes the second fail, as it should."""
    return (
        lvm("pvcreate", "--yes", *step.members),
        lvm("vgcreate", "--yes", "--physicalextentsize", f"{step.extent}b", step.group, *step.members),
    )


def start_group(step: StartGroup, run: Run) -> None:
    """Activate the group that stays, without the volumes that are made anew. Raises Conflict when another is there."""
    asked = lvm("vgs", "--foreign", "--noheadings", "--separator", "|", "-o", "vg_uuid,vg_systemid", step.group)
    uuid, _, owner = run(asked, check=False).output.strip().partition("|")
    if uuid != step.uuid:
        raise Conflict(f"is not the volume group of the plan: UUID {uuid or '(none)'}", where=step.group)
    if owner:
        # An image with system_id_source=machineid leaves groups for itself alone; one without an owner is anybody's.
        # Who may change it is its owner: a host without an id is refused, whatever extra_system_ids says (2.03.16).
        as_owner = f'{_CONFIG.replace(_NOBODY, _SOMEBODY)} local{{system_id="{owner}"}}'
        run(("lvm", "vgchange", "--config", as_owner, "--yes", "--systemid", "", step.group))
    run(lvm("vgchange", "--activate", "y", step.group))
    for name in step.remove:
        run(lvm("lvremove", "--yes", "--force", f"{step.group}/{name}"))
    run(("udevadm", "settle"))


def make_volume(step: MakeVolume, run: Run) -> None:
    """Make it, and wait until its name is there; a pool has none."""
    run(create_volume(step))
    if not step.thin:
        run(appeared(f"/dev/{step.group}/{step.name}"))


def create_volume(step: MakeVolume) -> tuple[str, ...]:
    """lvcreate: of a plain volume, a thin pool, or a thin volume in one."""
    size = f"{step.size}b"
    if step.thin:
        metadata = ("--poolmetadatasize", f"{step.metadata}b") if step.metadata else ()
        return lvm("lvcreate", "--yes", "--type", "thin-pool", "--size", size, *metadata, "--name", step.name,
                   step.group)  # fmt: skip
    # What an older volume left in these blocks must not come to life again.
    clean = ("--yes", "--wipesignatures", "y", "--zero", "y")
    if step.pool:
        return lvm("lvcreate", "--yes", "--type", "thin", "--virtualsize", size, "--thinpool", step.pool, "--name",
                   step.name, step.group)  # fmt: skip
    return lvm("lvcreate", *clean, "--type", "linear", "--size", size, "--name", step.name, step.group)
