"""Hardware that does not fit: refused with the reason, before the first write. And a disk that fills up."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.codec import to_json
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.node import BootAction, NodeState
from imaged.model.settings import Settings
from imaged.rehearsal.machine import DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.images import Images
from tests.vm.disks import untouched

pytestmark = pytest.mark.matrix


_TINY = """\
version: 1
disks:
  - id: system
    partitions:
      - {id: bios, role: bios_grub}
      - {id: root, role: root, size: {min: 100M}, fs: ext4, mount: /}
"""


def site_with_tiny_layout(site: Settings, state: Path) -> Path:
    """A state directory beside the demo's: its boot files, its image, and a layout that asks for next to nothing."""
    state.mkdir()
    for name in ("boot", "images"):
        (state / name).symlink_to(Path(site.state) / name)
    (state / "layouts").mkdir()
    (state / "layouts" / "tiny.yaml").write_text(_TINY)
    return state


@pytest.mark.parametrize(
    ("layout", "disks", "words"),
    [
        ("tiny", ("virtio,512M,serial=SMALL",), ("too small", "SMALL", "512 MiB", "missing")),
        ("one-disk", ("virtio,512M,serial=SMALL",), ("SMALL", "512 MiB", "size is not >=4G")),
        ("one-disk", ("virtio,8G,serial=TWIN-A", "virtio,8G,serial=TWIN-B"), ("TWIN-A", "TWIN-B")),
        ("one-disk", (), ("no disk",)),
    ],
    ids=["smaller than the image", "smaller than the layout wants", "two alike", "none"],
)
def test_refused_before_any_write(
    rehearse: Callable[..., Rehearsal],
    site: Settings,
    tmp_path: Path,
    layout: str,
    disks: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    r = rehearse(site_with_tiny_layout(site, tmp_path / "state"))
    spec = MachineSpec(disks=tuple(DiskOption.parse(disk) for disk in disks))
    guest = r.machine("node01", spec, image="debian-12", layout=layout)
    guest.power_on()
    reason = r.wait_failed("node01").reason
    assert [word for word in words if word.lower() not in reason.lower()] == [], reason
    assert all(untouched(disk) for disk in guest.disks)
    assert guest.alive, "a failed node waits in the ramdisk"
    assert r.nodes.get("node01").action is BootAction.INSTALL


def test_disk_full(rehearse: Callable[..., Rehearsal], site: Settings, tmp_path: Path) -> None:
    """An image that says it is small and is not: the planner lets it pass, the transfer cannot."""
    state = site_with_tiny_layout(site, tmp_path / "state")
    (state / "images").unlink()
    real = Images(Path(site.state) / "images")
    version = real.resolve(ImageRef("debian-12"))
    _understate(real.tree(version).parent, state / "images" / "debian-12", version)
    r = rehearse(state)
    guest = r.machine("node01", MachineSpec(disks=(DiskOption.parse("virtio,400M"),)), image="debian-12", layout="tiny")
    guest.power_on()
    facts = r.wait_failed("node01")
    assert facts.state is NodeState.FAILED
    assert "transfer" in facts.reason
    assert "no space left" in facts.reason.lower()


def _understate(real: Path, image: Path, version: Version) -> None:
    """The same version under another name for its size: 50 MiB."""
    home = image / str(version.number)
    home.mkdir(parents=True)
    (home / "tree").symlink_to(real / "tree")
    (home / "manifest.mtree").symlink_to(real / "manifest.mtree")
    (home / "version.json").write_text(to_json(evolve(version, bytes=50 * 2**20, entries=1000)))
    (image / "channels").mkdir()
    (image / "channels" / "stable").write_text(f"{version.number}\n")
