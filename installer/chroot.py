"""Running the image's own programs in its own tree, on the real hardware."""

import os
import select
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from imaged.model.plan import RunInTarget
from installer.process import Completed, Run
from installer.tree import inside, make_directories, replace

# What dracut, grub-probe, ssh-keygen and maintainer scripts need. /run brings udev's database; the firmware's
# variables stay out: nothing may write boot entries behind the plan's back.
_MOUNTS = (
    ("/dev", ("--bind", "/dev")),
    ("/dev/pts", ("-t", "devpts", "-o", "gid=5,mode=620,ptmxmode=666", "devpts")),
    ("/proc", ("-t", "proc", "proc")),
    ("/sys", ("-t", "sysfs", "sysfs")),
    ("/run", ("--bind", "/run")),
)
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "TERM": "dumb",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_OFFLINE": "1",
}
# What kernel-install, mkinitcpio and others take for the node's where nothing else is said: here it would be the
# ramdisk's, with its token.
_CMDLINE, _OWN_CMDLINE = "/proc/cmdline", "/etc/kernel/cmdline"
_DEATH = 10  # seconds for a killed process to go; one that hangs in a disk takes longer
_POLICY = "/usr/sbin/policy-rc.d"
_NO_DAEMONS = b"#!/bin/sh\nexit 101\n"  # "action forbidden", /usr/share/doc/init-system-helpers/README.policy-rc.d


def run_in_target(step: RunInTarget, root: Path, run: Run, variables: Mapping[str, str] | None = None) -> Completed:
    """Run it with /dev, /proc, /sys and /run in place and no daemon started; ``variables`` are added to its
    environment. Raises CommandFailed."""
    environment = {**ENVIRONMENT, **(variables or {})}
    with _surroundings(root, run), _quiet(root):
        try:
            return run(argv(step, root), stdin=step.stdin, env=environment, timeout=step.timeout)
        finally:
            end_stragglers(root)


def argv(step: RunInTarget, root: Path) -> tuple[str, ...]:
    """chroot(8) before the program."""
    return ("chroot", str(root), *step.argv)


def end_stragglers(root: Path) -> None:
    """Kill what still has its root in the target, and wait until it is gone: it would keep the filesystems busy."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or a kernel thread
            descriptor = os.pidfd_open(int(process.name))
            try:
                if (process / "root").readlink().is_relative_to(root):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    select.select([descriptor], [], [], _DEATH)
            finally:
                os.close(descriptor)


@contextmanager
def _surroundings(root: Path, run: Run) -> Iterator[None]:
    mounted: list[str] = []
    try:
        for at, how in _MOUNTS:
            place = inside(root, at)
            make_directories(place)
            run(("mount", *how, str(place)))
            mounted.append(str(place))
        own = inside(root, _OWN_CMDLINE)
        run(("mount", "--bind", str(own) if own.is_file() else "/dev/null", str(inside(root, _CMDLINE))))
        yield
    finally:
        for place_text in reversed(mounted):
            release(place_text, run)


def release(place: str, run: Run) -> None:
    """Whatever was mounted below goes with it. What somebody still holds open is taken out of the tree: it is a
    filesystem of the kernel's, and no longer in the tree it keeps the target's own from nothing."""
    if run(("umount", "--recursive", place), check=False).code:
        run(("umount", "--recursive", "--lazy", place))


@contextmanager
def _quiet(root: Path) -> Iterator[None]:
    """invoke-rc.d and deb-systemd-invoke ask this policy; an image that has one of its own keeps it."""
    path = inside(root, _POLICY)
    ours = path.parent.is_dir() and not path.exists()
    if ours:
        replace(path, _NO_DAEMONS, 0o755)
    try:
        yield
    finally:
        if ours:
            path.unlink(missing_ok=True)
