"""The nasty cases 7 to 12: the ESP, boot entries, unified kernels and what remembers where GRUB is."""

import os
import re
from pathlib import Path

import pytest

from imaged.model.capture import Golden
from imaged.model.errors import CannotPlan, ImagedError
from imaged.model.hardware import Firmware
from imaged.model.host import Host, Identity
from imaged.model.plan import CheckFile, MakeFilesystem, RemovePath, RunInTarget, WriteFile
from imaged.model.stack import Filesystem
from imaged.planning.capture import Wishes
from imaged.planning.capture import plan as capture_plan
from imaged.planning.capture_probe import parse
from imaged.planning.capture_rsync import transfer_argv
from imaged.planning.fixups.bls import boot_entries_files
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.identity import machine_identity
from imaged.planning.fixups.loader import boot_loader
from imaged.planning.install import plan, plan_with_system
from installer import tree
from tests.nasty.outcome import carry_out, commands, every_step, steps_of, written
from tests.nasty.plans import FIRST, NODE, NVME, SECOND, SITE, layout, machine, target, version
from tests.nasty.programs import needs, run
from tests.nasty.trees import DEAD, DEBIAN, ELF, NEWER, OLD, OLDER, PROBES, RED_HAT, RED_HAT_ESP, image, two_kernels

# 7


@needs("rsync", "mount", root=True)
def test_case_07_a_capture_takes_the_esp_that_is_a_filesystem_of_its_own(tmp_path: Path) -> None:
    """/boot/efi is mounted on the golden client. A capture stays on the filesystems it names (-x), so it must name that
    one; then the real rsync brings what is in it."""
    client = parse((PROBES / "debian-12.txt").read_text())
    argv = transfer_argv(Golden("gold"), capture_plan(client, Wishes()), control="c", rules="r", into="/into")
    options = next(word for word in argv if word.startswith("-a"))
    assert "x" in options and ":/boot/efi" in argv
    golden, into = tmp_path / "golden", tmp_path / "into"
    (golden / "boot/efi").mkdir(parents=True)
    run("mount", "-t", "tmpfs", "none", str(golden / "boot/efi"))
    try:
        (golden / "boot/efi/EFI").mkdir()
        (golden / "boot/efi/EFI/loader").write_text("ESP")
        named = [f"{golden}/./{word.removeprefix(':/')}" for word in (":/", ":/boot/efi")]
        run("rsync", options, named[0], str(into))
        assert not list((into / "boot/efi").iterdir())
        run("rsync", options, *named, str(into))
    finally:
        run("umount", str(golden / "boot/efi"))
    assert (into / "boot/efi/EFI/loader").read_text() == "ESP"


def test_case_07_an_image_without_the_content_of_its_esp(tmp_path: Path) -> None:
    """Captured elsewhere with -x: /boot/efi is an empty directory. Debian's tools make the loader anew; Red Hat's lies
    nowhere else, so a UEFI node is refused before the wipe, in words of that family, and a BIOS node is not."""
    for root in ("debian", "redhat"):
        (tmp_path / root / "boot/efi").mkdir(parents=True)
    debian = plan(NODE, version(image(tmp_path / "debian", DEBIAN)), layout("one-disk"), machine(NVME), SITE)
    assert any("--target=x86_64-efi" in each for each in commands(debian))
    assert "/boot/efi/EFI/BOOT/BOOTX64.EFI" in {each.path for each in steps_of(debian, CheckFile)}
    red_hat = version(image(tmp_path / "redhat", RED_HAT))
    with pytest.raises(CannotPlan, match="on the EFI system partition: was that mounted when the image was captured"):
        plan(NODE, red_hat, layout("one-disk"), machine(NVME), SITE)
    bios = plan(NODE, red_hat, layout("one-disk"), machine(NVME, firmware=Firmware.BIOS), SITE)
    assert "grub2-install --target=i386-pc /dev/nvme0n1" in commands(bios)
    with_esp = version(image(tmp_path / "redhat", RED_HAT_ESP))
    assert plan(NODE, with_esp, layout("one-disk"), machine(NVME), SITE)


# 8


def install_kernel(root: Path, kernel: str) -> Path:
    """kernel-install(8) itself, as the node's package manager calls it later; the entry that it makes."""
    conf = root / "etc/kernel"
    conf.mkdir(parents=True, exist_ok=True)
    identity = (root / "etc/machine-id").read_text().strip()
    (conf / "install.conf").write_text(f"layout=bls\nBOOT_ROOT={root}/boot\nMACHINE_ID={identity}\n")
    (root / "kernel").write_text("kernel")
    before = set((root / "boot").rglob("*.conf"))
    plugin = "/usr/lib/kernel/install.d/90-loaderentry.install"
    run("kernel-install", "add", kernel, str(root / "kernel"),
         env={**os.environ, "KERNEL_INSTALL_CONF_ROOT": str(conf), "KERNEL_INSTALL_PLUGINS": plugin})  # fmt: skip
    (made,) = set((root / "boot").rglob("*.conf")) - before
    return made


@pytest.mark.parametrize("golden", ["0" * 31 + "1", "f" * 32], ids=["sorts lower", "sorts higher"])
@pytest.mark.parametrize("generation", [0, 2])
@needs("kernel-install", "/usr/lib/kernel/install.d/90-loaderentry.install")
def test_case_08_boot_entries_named_by_the_golden_clients_id(tmp_path: Path, golden: str, generation: int) -> None:
    """GRUB sorts entries by their names, which begin with a machine-id. Were two ids among them, the kernels of one
    would come first for ever, however old. All go by the node's own, those of later kernels too, and so the newest
    kernel is the first."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP, two_kernels(golden))
    node = target(facts, layout("one-disk"), machine(NVME), generation=generation)
    carry_out((*machine_identity(node), *boot_entries_files(node)), tmp_path)
    entries = tmp_path / "boot/loader/entries"
    own = (tmp_path / "etc/machine-id").read_text().strip()
    assert {each.name for each in entries.iterdir()} == {f"{own}-{kernel}.conf" for kernel in (OLDER, NEWER)}
    later = install_kernel(tmp_path, "5.14.0-611.el9.x86_64")
    assert sorted(entries.iterdir(), reverse=True) == [
        later, *(entries / f"{own}-{kernel}.conf" for kernel in (NEWER, OLDER))
    ]  # fmt: skip
    for each in (OLDER, NEWER):
        text = (entries / f"{own}-{each}.conf").read_text()
        assert DEAD not in text and f"root=UUID={node.system.root.uuid}" in text and "crashkernel=1G" in text


def test_case_08_a_node_that_shall_be_the_golden_clients_twin_keeps_its_names(tmp_path: Path) -> None:
    """Its machine-id stays the image's, and so do the names of its entries."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP, two_kernels(OLD))
    node = target(facts, layout("one-disk"), machine(NVME), host=Host(identity=Identity.GOLDEN))
    carry_out(boot_entries_files(node), tmp_path)
    names = {each.name for each in (tmp_path / "boot/loader/entries").iterdir()}
    assert names == {f"{OLD}-{kernel}.conf" for kernel in (OLDER, NEWER)}
    assert (tmp_path / "etc/kernel/entry-token").read_text() == f"{OLD}\n"


# 9

SYSTEMD_BOOT = {
    "usr/bin/bootctl": "",
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi": "loader",
    "efi/loader/loader.conf": "timeout 3\n",
}
WITHOUT_GRUB = ("usr/sbin/grub2-install", "usr/sbin/grub2-mkconfig", "usr/lib/grub/i386-pc/moddep.lst")
AT_EFI = {"__boot__efi": "/efi"}


@needs("kernel-install", "/usr/lib/kernel/install.d/90-loaderentry.install")
def test_case_09_kernel_install_in_a_chroot_without_a_command_line_of_its_own(tmp_path: Path) -> None:
    """No /etc/kernel/cmdline in the image: kernel-install would take /proc/cmdline, in an install the ramdisk's. The
    file is there before kernel-install runs for the first time, and what it then makes names the node's root."""
    facts = image(tmp_path, RED_HAT, SYSTEMD_BOOT, without=WITHOUT_GRUB)
    assert "/etc/kernel/cmdline" not in facts.files
    install = plan(NODE, version(facts), layout("one-disk", **AT_EFI), machine(NVME), SITE)
    steps = every_step(install)
    told = next(at for at, step in enumerate(steps) if getattr(step, "path", "") == "/etc/kernel/cmdline")
    runs = [at for at, step in enumerate(steps) if isinstance(step, RunInTarget) and "kernel-install" in step.argv]
    assert runs and told < min(runs)
    carry_out(tuple(step for step in steps[: min(runs)] if isinstance(step, WriteFile)), tmp_path)
    made = install_kernel(tmp_path, NEWER).read_text()
    words = (tmp_path / "etc/kernel/cmdline").read_text().split()
    (options,) = re.findall(r"(?m)^options\s+(.*)$", made)
    assert options.split()[: len(words)] == words
    roots = [word for word in options.split() if word.startswith("root=")]
    (root,) = (each for each in steps_of(install, MakeFilesystem) if each.fs is Filesystem.EXT4)
    assert roots == [f"root=UUID={root.uuid}"]


# 10

ARCH: dict[str, str | bytes] = {
    "bin/sh": ELF,
    "boot/vmlinuz-linux": "kernel",
    "usr/lib/modules/6.11.6-arch1-1/pkgbase": "linux\n",
    "usr/bin/kernel-install": "",
    "usr/bin/mkinitcpio": "",
    "etc/fstab": f"UUID={DEAD} / ext4 defaults 0 1\n",
    "etc/mkinitcpio.conf": "HOOKS=(base udev autodetect modconf block filesystems fsck)\n",
    "etc/mkinitcpio.d/linux.preset": (
        "ALL_kver=/boot/vmlinuz-linux\nPRESETS=('default')\n#default_image=/boot/initramfs-linux.img\n"
        'default_uki="/efi/EFI/Linux/arch-linux.efi"\nfallback_uki="/efi/EFI/Linux/arch-linux-fallback.efi"\n'
    ),
    "etc/cmdline.d/root.conf": f"# disks\nroot=UUID={DEAD} rw\n",
    "etc/cmdline.d/tuning.conf": "mitigations=off quiet\n",
    "efi/EFI/Linux/arch-linux.efi": f"MZ initramfs root=UUID={DEAD} rw",
    "efi/EFI/Linux/arch-linux-lts.efi": f"MZ initramfs root=UUID={DEAD} rw",
}


def test_case_10_an_arch_image_with_nothing_but_unified_kernels(tmp_path: Path) -> None:
    """Kernel, initramfs and command line are one program on the ESP, and there is no initramfs file at all. The golden
    client's go, since they name its root; the node's are made by its own mkinitcpio from its own words; and the install
    is a success only if the new one names the node's root."""
    facts = image(tmp_path, ARCH, SYSTEMD_BOOT)
    install, made = plan_with_system(NODE, version(facts), layout("one-disk", **AT_EFI), machine(NVME), SITE)
    assert "mkinitcpio -P" in commands(install)
    assert not [path for path in written(steps_of(install, WriteFile)) if "/loader/entries/" in path]
    promises = [step for step in steps_of(install, CheckFile) if "initramfs" in step.path or "/EFI/Linux/" in step.path]
    assert [each.path for each in promises] == ["/efi/EFI/Linux/arch-linux.efi"]
    with pytest.raises(ImagedError, match="does not hold 'root=UUID="):
        tree.check_file(promises[0], tmp_path)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not list((tmp_path / "efi/EFI/Linux").iterdir())
    words = " ".join(each.read_text() for each in sorted((tmp_path / "etc/cmdline.d").iterdir()))
    assert DEAD not in words and f"root=UUID={made.root.uuid}" in words and "mitigations=off" in words
    assert f"root=UUID={made.root.uuid}" in (tmp_path / "etc/kernel/cmdline").read_text()
    assert "autodetect" not in (tmp_path / "etc/mkinitcpio.conf").read_text()
    (tmp_path / "efi/EFI/Linux/arch-linux.efi").write_text(f"MZ initramfs {words}")  # what mkinitcpio makes of them
    tree.check_file(promises[0], tmp_path)


def test_case_10_unified_kernels_of_an_image_that_says_no_words(tmp_path: Path) -> None:
    """mkinitcpio would take those of the running kernel, in an install the ramdisk's with its token."""
    parts = {key: value for key, value in ARCH.items() if "cmdline.d" not in key and "kernel-install" not in key}
    facts = image(tmp_path, parts, SYSTEMD_BOOT)
    install, made = plan_with_system(NODE, version(facts), layout("one-disk", **AT_EFI), machine(NVME), SITE)
    assert written(every_step(install))["/etc/kernel/cmdline"].startswith(f"root=UUID={made.root.uuid} ")


def test_case_10_unified_kernels_must_lie_where_firmware_looks(tmp_path: Path) -> None:
    """Its presets write below /efi; with the ESP at /boot/efi the kernels would land on the root filesystem."""
    facts = version(image(tmp_path, ARCH, SYSTEMD_BOOT))
    with pytest.raises(CannotPlan, match="must mount the ESP at /efi, not at /boot/efi"):
        plan(NODE, facts, layout("one-disk"), machine(NVME), SITE)


def test_case_10_unified_kernels_that_kernel_install_makes_go_wherever_the_esp_is(tmp_path: Path) -> None:
    """Without presets kernel-install makes them, and it looks for the ESP itself; one that nothing can make again must
    stay where it is, and an ESP elsewhere is refused."""
    parts = {key: value for key, value in ARCH.items() if "mkinitcpio" not in key}
    wanted = layout("one-disk")
    install = plan(NODE, version(image(tmp_path / "with", parts, SYSTEMD_BOOT)), wanted, machine(NVME), SITE)
    assert any("kernel-install add" in each for each in commands(install))
    assert "/boot/efi/EFI/Linux/*.efi" in {each.path for each in steps_of(install, RemovePath)}
    alone = version(image(tmp_path / "without", parts, SYSTEMD_BOOT, without=("usr/bin/kernel-install",)))
    with pytest.raises(CannotPlan, match="must mount the ESP at /efi"):
        plan(NODE, alone, wanted, machine(NVME), SITE)


# 11


@needs("grub-script-check")
def test_case_11_a_stub_on_the_esp_that_names_a_dead_filesystem(tmp_path: Path) -> None:
    """EFI/redhat/grub.cfg of the image looks for the golden client's /boot by its UUID, and GRUB would stop at its
    prompt. The real files are copied as they were signed, and every stub beside a GRUB finds the node's own menu."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP)
    node = target(facts, layout("one-disk"), machine(NVME))
    carry_out(boot_loader(node), tmp_path)
    esp = tmp_path / "boot/efi/EFI"
    stubs = sorted(esp.rglob("grub.cfg"))
    assert [str(each.relative_to(esp)) for each in stubs] == ["BOOT/grub.cfg", "redhat/grub.cfg"]
    for stub in stubs:
        text = stub.read_text()
        assert DEAD not in text and f"--fs-uuid --set=dev {node.system.root.uuid}" in text
        assert "configfile $prefix/grub.cfg" in text and "/boot/grub2" in text
        run("grub-script-check", str(stub))
        assert (stub.parent / "grubx64.efi").read_text() == "a signed GRUB"
    assert (esp / "BOOT/BOOTX64.EFI").read_text() == "a signed shim"
    assert not (esp / "BOOT/fbx64.efi").exists(), "it would write an entry that comes before the network"
    for promise in checks(node):
        if isinstance(promise, CheckFile) and promise.path.endswith("EFI/redhat/grub.cfg"):
            tree.check_file(promise, tmp_path)


# 12


@needs("debconf-set-selections", "debconf-communicate")
@pytest.mark.parametrize("order", ["network-first", "disk-first"])
def test_case_12_what_debconf_remembers_of_the_golden_clients_disk(tmp_path: Path, order: str) -> None:
    """The next upgrade of GRUB writes where debconf says: a disk that is not there, so new modules lie beside an old
    core image. The real debconf, asked afterwards, names the node's disks; and an upgrade leaves the firmware's order
    and the removable path as the layout wants them."""
    (tmp_path / "debconf.conf").write_text(
        "Config: config\nTemplates: templates\n"
        + "".join(
            f"\nName: {each}\nDriver: File\nFilename: {tmp_path}/{each}.dat\n" for each in ("config", "templates")
        )
    )
    environment = {**os.environ, "DEBCONF_SYSTEMRC": str(tmp_path / "debconf.conf")}
    golden = "/dev/disk/by-id/ata-GOLDEN_1234"
    selections = (
        f"grub-pc grub-pc/install_devices multiselect {golden}\n"
        f"grub-efi-amd64 grub-efi/install_devices multiselect {golden}-part1\n"
        "grub-efi-amd64 grub2/force_efi_extra_removable boolean false\n"
        "grub-efi-amd64 grub2/update_nvram boolean true\n"
    )
    run("debconf-set-selections", input=selections, env=environment)
    wanted = layout("raid1-data-raid", **{"esp: {mount": f"boot: {{order: {order}}}\nesp: {{mount"})
    install = plan(NODE, version(image(tmp_path, DEBIAN)), wanted, machine(FIRST, SECOND), SITE)
    (step,) = (step for step in steps_of(install, RunInTarget) if step.argv == ("debconf-set-selections",))
    run(*step.argv, input=step.stdin, env=environment)
    asked = ("grub-pc/install_devices", "grub-efi/install_devices", "grub2/force_efi_extra_removable",
             "grub2/update_nvram")  # fmt: skip
    questions = "".join(f"GET {each}\n" for each in asked)
    answers = run("debconf-communicate", input=questions, env=environment).splitlines()
    paths = [f"/dev/disk/by-path/{disk.by_path}" for disk in (FIRST, SECOND)]
    assert answers == [
        f"0 {', '.join(paths)}",
        f"0 {', '.join(f'{path}-part2' for path in paths)}",
        "0 true",
        f"0 {str(order == 'disk-first').lower()}",
    ]
