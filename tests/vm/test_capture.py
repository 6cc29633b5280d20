"""The round trip: a node captured, the capture installed on another machine, that one captured again."""

import fnmatch
from collections.abc import Callable
from pathlib import Path

import pytest

from imaged import process
from imaged.model.names import ImageRef
from imaged.model.settings import Settings
from imaged.rehearsal.machine import MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.changes import different
from imaged.store.images import Images

pytestmark = pytest.mark.matrix

FIRST, SECOND = "round-trip", "round-trip-again"

# What the second install writes anew, and what a system writes while it runs: every difference that may be.
OWN = (
    "etc/hostname", "etc/hosts", "etc/fstab", "etc/initramfs-tools/conf.d/resume", "etc/default/grub.d/zz-imaged.cfg",
    "etc/systemd/network/10-imaged-lan0.network", "etc/systemd/system/imaged-up.service", "etc/resolv.conf",
    "etc/systemd/system/multi-user.target.wants/imaged-up.service", "etc/machine-id", "etc/.pwd.lock",
    "usr/lib/imaged/*", "var/lib/imaged", "var/lib/imaged/*", "var/lib/systemd/*", "var/cache/*", "var/lib/dpkg/*",
    "boot/grub", "boot/grub/*", "boot/efi/*", "var/log/*", "var/lib/private", "var/lib/private/*",
    "var/tmp/*", "root/*",
)  # fmt: skip
NASTY = """set -e
mkdir -p /opt/odd; cd /opt/odd
printf x > "$(printf 'new\\nline')"; printf x > "$(printf '\\377\\376')"; printf x > "$(printf 'n%.0s' $(seq 255))"
truncate -s 64M sparse; printf island | dd of=sparse bs=1 seek=33554432 conv=notrunc status=none
ln sparse linked; mknod null c 1 3; mkfifo pipe; ln -s /nowhere dangling
setfacl -m u:1234:rwx "$(printf '\\377\\376')"; setfattr -n user.note -v hello linked
chown 4321:1234 linked; chmod 6755 linked
printf c > capable; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 capable"""


def test_round_trip(rehearse: Callable[..., Rehearsal], site: Settings) -> None:
    r = rehearse()
    r.machine("node01", MachineSpec(), image="debian-12").power_on()
    r.wait_ready("node01")
    r.ssh("node01", "sh", "-c", NASTY)
    capture(r, site, "node01", FIRST)
    r.guests["node01"].power_off()

    r.machine("node02", MachineSpec(), image=FIRST).power_on()
    r.wait_ready("node02")
    assert r.ssh_host_name("node02") == "node02"
    capture(r, site, "node02", SECOND)

    images = Images(r.state.images)
    one, other = (images.entries(images.resolve(ImageRef(name))) for name in (FIRST, SECOND))
    unlike = [path for _, path, _ in different(one, other) if not any(fnmatch.fnmatchcase(path, each) for each in OWN)]
    assert not unlike, unlike[:20]
    odd = [entry for entry in other if entry.path.startswith("opt/odd/")]
    assert len(odd) == 9 and any(entry.path.endswith("capable") for entry in odd)


def capture(r: Rehearsal, site: Settings, node: str, image: str) -> None:
    """By the verb, as an administrator would."""
    key = Path(site.state) / "key"
    options = (f"IdentityFile={key}", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
    words = [word for option in options for word in ("--ssh-option", option)]
    process.run(r.imaged("getimage", str(r.nodes.get(node).address), "--image", image, *words), timeout=1800)
