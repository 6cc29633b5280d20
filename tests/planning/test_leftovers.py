"""Names of the golden client's disks that stay in files: which of them no step of a plan writes."""

import pytest

from imaged.model.image import ImageFacts
from imaged.model.plan import InstallPlan, Phase, RemovePath, RunInTarget, Step, WriteFile
from imaged.planning.leftovers import leftovers
from imaged.planning.show import plan_text


@pytest.mark.parametrize(
    ("step", "path", "left"),
    [
        (WriteFile("/etc/fstab", ""), "/etc/fstab", False),
        (WriteFile("/etc/fstab", ""), "/etc/fstab.d/x", True),
        (RemovePath("/etc/lvm/devices/*"), "/etc/lvm/devices/system.devices", False),
        (RemovePath("/etc/lvm/devices/*"), "/etc/lvm/devices/backup/x", False),  # a directory goes whole
        (RemovePath("/etc/lvm/devices/*"), "/etc/lvm/lvm.conf", True),
        (RunInTarget(("grub-install", "/dev/sda")), "/boot/grub/x.cfg", False),
        (RunInTarget(("true",)), "/boot/grub/x.cfg", True),
    ],
)
def test_what_is_left(step: Step, path: str, left: bool) -> None:
    plan = InstallPlan("n", "i@1", "l", (Phase("fixups", (step,)),))
    found = list(leftovers(ImageFacts("x86_64", device_names={path: ("/dev/sda", "UUID=1")}), plan))
    assert found == ([f"{path}: /dev/sda, UUID=1"] if left else [])


def test_people_read_it_before_the_steps() -> None:
    plan = InstallPlan("n", "i@1", "l", (Phase("fixups", (WriteFile("/a", ""),)),))
    lines = plan_text(plan, "x", ("/etc/smartd.conf: /dev/sda",)).splitlines()
    at = lines.index("  /etc/smartd.conf: /dev/sda")
    assert lines[at - 1].startswith("Warning: these files of the image name disks of the golden client")
    assert at < lines.index("fixups:")
    assert "Warning" not in plan_text(plan, "x")
