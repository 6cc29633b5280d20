"""Linux md arrays: made and started with mdadm(8), argv by pure functions. Assembled by nothing else in the ramdisk."""

from contextlib import suppress
from pathlib import Path, PurePosixPath

from imaged.model.errors import CommandFailed, Conflict
from imaged.model.plan import MakeArray, StartArray
from installer.process import Run

# KiB/s for each array. Its first synchronisation goes on after the next start; an install that shares the disks
# with one at full speed takes several times as long.
_SYNC_SPEED = 10_000
_SPEED_LIMIT = Path("/proc/sys/dev/raid/speed_limit_max")


def make_array(step: MakeArray, run: Run) -> None:
    """Make it, and wait until its name is there."""
    # mdadm asks about members that hold something, and would find their old superblocks again later.
    run(("wipefs", "--all", "--force", *step.members, *step.spares))
    run(("udevadm", "settle"))
    run(create(step))
    with suppress(FileNotFoundError):  # there since the first array was made, and none was when md is not there at all
        _SPEED_LIMIT.write_text(f"{_SYNC_SPEED}\n")
    run(appeared(step.device))


def create(step: MakeArray) -> tuple[str, ...]:
    """mdadm --create.

    Home host ``any``: else the name would be foreign to the host that the installed system is, and the array md127.
    Never --assume-clean: RAID 5 and 6 would compute parity from stale blocks when they are first written.
    """
    spares = (f"--spare-devices={len(step.spares)}",) if step.spares else ()
    # RAID 0 has nothing to synchronise; one member alone is "unusual" to mdadm, which wants to be forced.
    bitmap = ("--bitmap=internal",) if step.level else ()
    force = ("--force",) if len(step.members) == 1 else ()
    return (
        "mdadm", "--create", step.device, "--run", *force, f"--name={PurePosixPath(step.device).name}",
        "--homehost=any", f"--uuid={step.uuid}", f"--metadata={step.metadata}", f"--level={step.level}", *bitmap,
        f"--raid-devices={len(step.members)}", *spares, *step.members, *step.spares,
    )  # fmt: skip


def start_array(step: StartArray, run: Run) -> None:
    """Start the array that stays. Raises Conflict when not all the members are there that were when it last ran."""
    try:
        run(assemble(step))
    except CommandFailed as error:
        # What was put together in part would hold its members.
        run(("mdadm", "--stop", step.device), check=False)
        what = f"the array that stays (UUID {step.uuid}) did not start"
        raise Conflict(what, where=step.device, hint=error.hint or "A disk of it may be missing.") from None
    with suppress(FileNotFoundError):
        _SPEED_LIMIT.write_text(f"{_SYNC_SPEED}\n")
    run(appeared(step.device))


def assemble(step: StartArray) -> tuple[str, ...]:
    """mdadm --assemble, without --run: an array that lost a member since it last ran is a person's to judge."""
    return (
        "mdadm", "--assemble", step.device, "--config=partitions", "--homehost=any", f"--uuid={step.uuid}"
    )  # fmt: skip


def appeared(device: str) -> tuple[str, ...]:
    """Wait until udev has made the device's node or link and looked at it."""
    return ("udevadm", "wait", "--timeout=60", "--settle", device)
