"""An initramfs is built once for each kernel, whatever hooks there are, and only where the image's own will not do.

On whole trees, with programs that log how they were called and call one another as the real ones do.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.codec import to_plain
from imaged.model.image import DRACUT_GENERIC, Version
from imaged.model.plan import RunInTarget, Step
from imaged.model.system import PlannedArray, RootOn
from imaged.planning.fixups.order import BOOTLOADER, FIXUPS, apply
from imaged.planning.fixups.target import Target
from imaged.planning.install import Site
from imaged.planning.update import Layers, plan_update
from installer.node.steps import due
from tests.planning.test_family_trees import ESP, target
from tests.planning.trees import lay, run_fakes

pytestmark = pytest.mark.processes

# As dracut 059's install.d/50-dracut.install: it builds, whether or not an initramfs was given.
KERNEL_INSTALL = """\
for plugin in ${KERNEL_INSTALL_PLUGINS-50-dracut.install 90-loaderentry.install}; do
    case $plugin in *50-dracut.install) dracut -f /efi/token/$2/initrd "$2";; esac
done"""
# Maintainer scripts of kernels call these, as do triggers of packages: neither may be set off by a step of ours.
DEBIAN = {"update-initramfs": "", "update-grub": "", "grub-install": "", "debconf-set-selections": "",
          "kernel-install": 'update-initramfs -u -k "$2"', "dpkg-trigger": "update-initramfs -u -k all"}  # fmt: skip
DRACUT = {"dracut": "", "kernel-install": KERNEL_INSTALL, "grub2-mkconfig": "", "grub2-install": "", "bootctl": "",
          "setfiles": "", "mkinitrd": "dracut"}  # fmt: skip
SECOND = {"ubuntu-24.04": "6.8.0-49-generic", "rhel-9": "5.14.0-504.el9.x86_64", "fedora-41": "6.11.5-300.fc41.x86_64"}
NAMES = {"ubuntu-24.04": "initrd.img-{}", "rhel-9": "initramfs-{}.img", "fedora-41": "initramfs-{}.img"}


def with_two_kernels(name: str, root: Path) -> Path:
    lay(name, root)
    version = SECOND[name]
    (root / "usr/lib/modules" / version).mkdir()
    for path in (f"usr/lib/modules/{version}/modules.dep", f"boot/vmlinuz-{version}",
                 f"boot/{NAMES[name].format(version)}"):  # fmt: skip
        (root / path).write_text("x")
    return root


def on_an_array(of: Target) -> Target:
    array = PlannedArray("/dev/md/root", "aa:bb:cc:01", 1, "1.2")
    root = evolve(of.system.root, device="/dev/md/root")
    system = evolve(of.system, filesystems=(of.system.filesystems[0], root), arrays=(array,), root_on=(RootOn.ARRAY,))
    return evolve(of, system=system)


def steps_of(of: Target) -> tuple[Step, ...]:
    return (*apply(FIXUPS, of), *apply(BOOTLOADER, of))


def built(log: list[str]) -> Counter[str]:
    """How often for which kernel."""
    calls = [line for line in log if re.match("dracut |update-initramfs ", line)]
    versions = [re.findall(r"\d+\.\d+\.\d+-\S+?(?=\.img|\s|$)|all", line)[0] for line in calls]
    return Counter(versions)


@pytest.mark.parametrize("name", SECOND)
def test_once_for_each_kernel(name: str, tmp_path: Path) -> None:
    of = on_an_array(target(with_two_kernels(name, tmp_path)))
    log = run_fakes(steps_of(of), tmp_path, DEBIAN if name.startswith("ubuntu") else DRACUT)
    assert built(log) == {kernel.version: 1 for kernel in of.facts.kernels}
    assert len(of.facts.kernels) == 2
    assert any(line.startswith(("update-grub", "grub2-mkconfig")) for line in log), "the steps were really run"


@pytest.mark.parametrize(
    ("name", "generic", "array", "times"),
    [
        ("ubuntu-24.04", True, False, 0),  # MODULES=most is what Ubuntu has
        ("ubuntu-24.04", False, False, 1),
        ("ubuntu-24.04", True, True, 1),
        ("rhel-9", False, False, 1),
        ("rhel-9", True, False, 0),
        ("rhel-9", True, True, 1),
        ("fedora-41", False, False, 1),
    ],
)
def test_only_when_needed(name: str, generic: bool, array: bool, times: int, tmp_path: Path) -> None:
    with_two_kernels(name, tmp_path)
    if name.startswith("ubuntu") and not generic:
        (tmp_path / "etc/initramfs-tools/initramfs.conf").write_text("MODULES=dep\n")
    elif generic and not name.startswith("ubuntu"):
        at = tmp_path / DRACUT_GENERIC[1:]
        at.parent.mkdir()
        at.write_text('hostonly="no"\n')
    of = target(tmp_path)
    log = run_fakes(steps_of(on_an_array(of) if array else of), tmp_path, {**DEBIAN, **DRACUT})
    assert set(built(log).values()) == ({times} if times else set())


def with_systemd_boot(root: Path) -> Target:
    """Fedora with the loader of systemd on an ESP that is not /boot: kernel-install brings the kernels there."""
    lay("fedora-41", root)
    (root / "boot/efi/loader").mkdir()
    (root / "boot/efi/loader/loader.conf").write_text("timeout 3\n")
    stub = root / "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
    stub.parent.mkdir(parents=True)
    stub.write_text("x")
    of = target(root)
    return evolve(of, system=evolve(of.system, filesystems=(evolve(ESP), of.system.root)))


def test_a_kernels_hook_does_not_build_a_second_one(tmp_path: Path) -> None:
    of = with_systemd_boot(tmp_path)
    log = run_fakes(steps_of(of), tmp_path, DRACUT)
    (kernel,) = of.facts.kernels
    assert [line for line in log if line.startswith("kernel-install")] == [
        f"kernel-install add {kernel.version} {kernel.image} {kernel.initrd}"
    ]
    assert built(log) == {kernel.version: 1}
    assert next(line for line in log if line.startswith("dracut")).startswith("dracut --force --no-hostonly")


@pytest.mark.skipif(
    not all(
        map(Path.exists, (Path("/usr/bin/kernel-install"), Path("/usr/lib/kernel/install.d/90-loaderentry.install")))
    ),
    reason="needs kernel-install of systemd",
)
def test_kernel_install_itself_makes_a_whole_entry_so(tmp_path: Path) -> None:
    of = with_systemd_boot(tmp_path)
    (step,) = (
        each for each in apply(BOOTLOADER, of) if isinstance(each, RunInTarget) and "kernel-install" in each.argv
    )
    inside = tuple(f"{tmp_path}{word}" if word.startswith("/boot/") else word for word in step.argv)
    (tmp_path / "fakes").mkdir()
    (tmp_path / "fakes/dracut").write_text(f"#!/bin/sh\necho again >>{tmp_path}/again\n")
    (tmp_path / "fakes/dracut").chmod(0o755)
    conf, boot = tmp_path / "conf", tmp_path / "esp"
    for directory in (conf, boot / "token"):
        directory.mkdir(parents=True)
    (conf / "cmdline").write_text("root=UUID=x ro\n")
    (conf / "entry-token").write_text("token\n")
    (conf / "install.conf").write_text("layout=bls\n")
    path = f"{tmp_path}/fakes:/usr/bin:/bin:/usr/sbin:/sbin"
    env = {"PATH": path, "BOOT_ROOT": str(boot), "KERNEL_INSTALL_CONF_ROOT": str(conf), "MACHINE_ID": "0" * 31 + "1"}
    subprocess.run((shutil.which("env") or "env", *inside[1:]), check=True, env=env)
    (kernel,) = of.facts.kernels
    entry = (boot / f"loader/entries/token-{kernel.version}.conf").read_text().replace(str(boot), "")
    assert re.findall(r"(?m)^(linux|initrd) +(\S+)", entry) == [
        ("linux", f"/token/{kernel.version}/linux"),
        ("initrd", f"/token/{kernel.version}/initramfs-{kernel.version}.img"),
    ]
    assert "root=UUID=x ro" in entry
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["ubuntu-24.04", "rhel-9"])
def test_an_update_builds_once_for_all_that_changed(name: str, tmp_path: Path) -> None:
    """Kernel, modules, firmware and configuration at once; nothing of them: not at all."""
    of = on_an_array(target(with_two_kernels(name, tmp_path)))
    version = Version("compute", 2, "", "", 1, 1, "0" * 64, of.facts)
    plan = plan_update(of.node, version, of.system, of.inventory, Site(of.site, of.server), Layers(), 873)
    triggered = [to_plain(each) for each in plan.bootloader]

    def builds(changed: list[bytes]) -> list[str]:
        ran = [" ".join(step["argv"]) for step in due(triggered, changed) if step["step"] == "RunInTarget"]
        return [line for line in ran if line.startswith(("dracut", "update-initramfs"))]

    changed = [b"etc/modprobe.d/x.conf", b"usr/lib/firmware/y", b"etc/mdadm/mdadm.conf", b"etc/crypttab"]
    for kernel in of.facts.kernels:
        changed += [kernel.image[1:].encode(), f"usr/lib/modules/{kernel.version}/a.ko".encode()]
    assert built(builds(changed)) == {kernel.version: 1 for kernel in of.facts.kernels}
    assert builds([b"usr/bin/ls", b"etc/motd"]) == []
    newest = of.facts.kernels[0]
    assert built(builds([newest.image[1:].encode()])) == {newest.version: 1}
