"""Two machines installed at once from one image: each itself, and otherwise the same to the last attribute."""

import fnmatch
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from attrs import evolve

from imaged import process
from imaged.model.names import ImageRef
from imaged.model.report import Status
from imaged.rehearsal.machine import MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.images import Images
from tests.vm.disks import Attributes, attributes, identifiers, mounted, partitions

pytestmark = pytest.mark.matrix

# What makes a node itself: these must differ between two nodes.
OWN = (
    "etc/machine-id", "etc/hostname", "etc/hosts", "etc/fstab", "etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_*_key.pub",
    "etc/initramfs-tools/conf.d/resume", "etc/systemd/network/10-imaged-lan0.network", "boot/grub/grub.cfg",
    "var/lib/imaged/secret",
)  # fmt: skip
# What the image's own programs make when they run in it: by UUID, or with a date inside.
MADE = ("boot/grub", "boot/grub/*", "var/cache/debconf/*", "lost+found")
DIRECTORY = stat.S_IFDIR


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def timeless(tree: dict[str, Attributes], image: dict[str, Attributes]) -> dict[str, Attributes]:
    """Without the times of directories, and of what the install wrote: those are when it happened."""
    return {
        path: evolve(found, time=0)
        if found.kind == DIRECTORY or path not in image or found.time != image[path].time
        else found
        for path, found in tree.items()
    }


def differing(one: dict[str, Attributes], other: dict[str, Attributes]) -> set[str]:
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def planned(r: Rehearsal, name: str) -> set[str]:
    """Paths that a step of the node's plan writes or removes, and the directories above them."""
    settings = str(r.state.root / "imaged.yaml")
    argv = (sys.executable, "-m", "imaged", "--settings", settings, "plan", name, "--json")
    phases = json.loads(process.run(argv).output)["phases"]
    paths = [PurePosixPath(step["path"]) for phase in phases for step in phase["steps"] if "path" in step]
    return {str(each).lstrip("/") for path in paths for each in (path, *path.parents)}


def test_two_nodes_from_one_image(rehearse: Callable[..., Rehearsal], tmp_path: Path) -> None:
    r = rehearse()
    names = ("node01", "node02")
    for name in names:
        r.machine(name, MachineSpec(), image="debian-12").power_on()
    for name in names:
        # Not later: once the system runs, its logs and caches are its own.
        r.wait(name, "unmount", status=Status.DONE, timeout=1800)
        r.guests[name].power_off()

    one, other = (identifiers(r.disk_path(name)) for name in names)
    assert one.keys() == other.keys() >= {"root", "esp", "swap"}
    assert not set(one.values()) & set(other.values())

    trees = {}
    for name in names:
        root = next(part for part in partitions(r.disk_path(name)) if part.name == "root")
        with mounted(r.disk_path(name), root, tmp_path / name) as at:
            assert (at / "etc/hostname").read_text() == f"{name}\n"
            trees[name] = attributes(at)
    images = Images(r.site.images)
    image = attributes(images.tree(images.resolve(ImageRef("debian-12"))))
    sealed = timeless(image, image)
    node01, node02 = (timeless(trees[name], image) for name in names)
    assert len(node01) > 10_000

    for pattern in OWN:
        own = {path for path in node01 if matches(path, (pattern,))}
        assert own, f"no {pattern}"
        assert own <= {path for path in own if node01[path].content != node02[path].content}, pattern

    unlike = {path for path in differing(node01, node02) if not matches(path, (*OWN, *MADE))}
    assert not unlike, f"the nodes differ in {sorted(unlike)[:20]}"

    steps = planned(r, "node01")
    unplanned = {path for path in differing(sealed, node01) - steps if not matches(path, (*OWN, *MADE))}
    assert not unplanned, f"not as the manifest says, and no step of the plan: {sorted(unplanned)[:20]}"


def test_two_nodes_come_up_as_themselves(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    names = ("node01", "node02")
    for name in names:
        r.machine(name, MachineSpec(), image="debian-12").power_on()
    for name in names:
        r.wait_ready(name, timeout=2400)
        assert r.ssh_host_name(name) == name
    assert len({r.ssh(name, "cat", "/etc/machine-id").output for name in names}) == 2
