"""A node's life after its install, as SystemImager's manual has it: the image changes, the node follows, goes back."""

import fnmatch
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imaged import process
from imaged.model.hardware import Firmware
from imaged.model.names import ImageRef
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.images import Images
from tests.vm.disks import attributes, mounted, partitions
from tests.vm.test_install import installs, machine
from tests.vm.test_two_nodes import MADE, OWN, timeless

pytestmark = pytest.mark.matrix

NODE, IMAGE = "node01", "compute"
# Another kernel in place of the image's own, and a change of each kind.
EDIT = """set -e
old=$(ls /lib/modules)
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends linux-image-cloud-amd64
apt-get -qq purge --yes linux-image-amd64 "linux-image-$old"
echo 'Second edition.' >> /etc/motd
rm /usr/bin/slabtop
mkdir /opt/new && echo new > "/opt/new/$(printf 'a\\nb \\377')"
chmod 0700 /opt"""
# What a system that runs writes for itself, beside what an install does; and the node's agent, which is in no image.
RUNNING = (
    "boot/efi", "etc/resolv.conf", "etc/.resolv.conf.systemd-resolved.bak", "etc/.pwd.lock", "var/log/*",
    "var/lib/systemd/*", "var/lib/private", "var/lib/private/*", "var/cache/*", "var/tmp/*", "var/lib/imaged",
    "var/lib/imaged/*", "root/*", "tmp/*", "run/*", "usr/lib/imaged", "usr/lib/imaged/*", "usr/sbin/imaged",
    "usr/lib/systemd/system/imaged-*", "usr/share/imaged*", "var/lib/dbus/machine-id",  # tmpfiles.d/dbus.conf
)  # fmt: skip


def server(r: Rehearsal, *words: str) -> str:
    """``imaged WORDS`` where the server's own network is: with a way to package repositories."""
    argv = (sys.executable, "-m", "imaged", "--settings", str(r.daemon.file), *words)
    return process.run(argv, timeout=1800).output


def cluster(r: Rehearsal, site: object, *words: str, code: int = 0) -> str:
    """``imaged WORDS`` where the nodes are, by ssh. Ends with ``code``, or the test does."""
    key = Path(site.state) / "key"  # type: ignore[attr-defined]
    ended = process.run((*r.imaged(*words), "--ssh-key", str(key)), timeout=1800, check=False)
    assert ended.code == code, (words, ended.output, ended.errors)
    return ended.output


def kernel(r: Rehearsal) -> str:
    return r.ssh(NODE, "uname", "-r").output.strip()


def default_kernel(r: Rehearsal) -> str:
    """What GRUB starts by itself: the kernel in ``saved_entry``."""
    found = re.search("saved_entry=.*gnulinux-(.*)-advanced", r.ssh(NODE, "grub-editenv", "list").output)
    return found[1] if found else ""


def updated(r: Rehearsal, site: object, *words: str, restarts: bool = False) -> None:
    """Update the node; with ``restarts`` it reboots because of a new kernel, and is waited for."""
    before = r.boot_id(NODE)
    cluster(r, site, "updateclient", NODE, *words, *(("--reboot", "cold") if restarts else ()))
    if restarts:
        r.wait_restart(NODE, before)


def test_a_life(rehearse: Callable[..., Rehearsal], site: object, tmp_path: Path) -> None:
    r = rehearse()
    r.copy_image("debian-12", IMAGE)
    installs(r, machine(Firmware.BIOS, "nvme,8G"), image=IMAGE)
    old = kernel(r)

    server(r, "enter", IMAGE, "--seal", "--channel", "stable", "--message", "new kernel", "--", "sh", "-c", EDIT)
    dry = json.loads(cluster(r, site, "updateclient", NODE, "--dry-run", "--json"))[NODE]["answer"]
    kinds = {change["path"]: change["action"] for change in dry["changes"]}
    assert (kinds["/etc/motd"], kinds["/usr/bin/slabtop"], kinds["/opt/new"]) == ("change", "delete", "add")

    cut_short(r, site, tmp_path)
    assert kernel(r) == old
    updated(r, site, restarts=True)
    new = kernel(r)
    assert new != old and kinds[f"/boot/vmlinuz-{new}"] == "add"
    assert default_kernel(r) == new, "started well, but not promoted"
    updated(r, site)  # the old kernel was held as long as the new one was not proven
    assert r.ssh(NODE, "ls", "/lib/modules").output.split() == [new]
    cluster(r, site, "verify", NODE, "--checksum")

    updated(r, site, "--to", "1", restarts=True)
    assert (kernel(r), default_kernel(r)) == (old, old)
    updated(r, site, "--to", "1")
    cluster(r, site, "verify", NODE, "--checksum")

    r.ssh(NODE, "sh", "-c", "rm /usr/bin/less; echo drift >> /usr/bin/free; touch /opt/stranger")
    cluster(r, site, "updateclient", NODE, "--plain", "--to", "1")
    r.ssh(NODE, "sync")
    r.guests[NODE].power_off()
    assert not unlike_version(r, 1, tmp_path), unlike_version(r, 1, tmp_path)[:20]


def cut_short(r: Rehearsal, site: object, scratch: Path) -> None:
    """The node's power goes while an update's files come; it starts again, from the kernel that it had."""
    key, before = Path(site.state) / "key", r.boot_id(NODE)  # type: ignore[attr-defined]

    def transfers() -> int:
        return r.daemon.log.read_text().count("begins, pid")

    known = transfers()
    argv = (*r.imaged("updateclient", NODE), "--ssh-key", str(key))
    with process.start(argv, output=scratch / "cut.log") as update:
        r.watch(lambda _: transfers() > known, lambda _: None, timeout=900)
        r.guests[NODE].power_off()
        update.kill()
    r.guests[NODE].power_on()
    r.wait_restart(NODE, before)


def unlike_version(r: Rehearsal, number: int, scratch: Path) -> list[str]:
    """Paths on the node's disk, read from outside, that are not as in the image; what makes a node itself left out."""
    images = Images(r.state.images)
    image = attributes(images.tree(images.resolve(ImageRef.parse(f"{IMAGE}@{number}"))))
    root = next(part for part in partitions(r.disk_path(NODE)) if part.name == "root")
    with mounted(r.disk_path(NODE), root, scratch / "node") as at:
        tree = attributes(at)
    # The journal of a machine that was switched off holds no changes of ours: it was told to sync.
    node, sealed = timeless(tree, image), timeless(image, image)
    assert len(node) > 10_000
    apart = {path for path in node.keys() | sealed.keys() if node.get(path) != sealed.get(path)}
    own = (*OWN, *MADE, *RUNNING, *planned_paths(r))
    return sorted(path for path in apart if not any(fnmatch.fnmatchcase(path, pattern) for pattern in own))


def planned_paths(r: Rehearsal) -> tuple[str, ...]:
    """What a step of the node's install writes."""
    phases = json.loads(server(r, "plan", NODE, "--json"))["phases"]
    paths = [step["path"].lstrip("/") for phase in phases for step in phase["steps"] if "path" in step]
    return tuple(re.sub(r"([\[?*])", r"[\1]", path) for path in paths)
