"""The nasty cases 13 to 15: fstab, crypttab and the swap to resume from, which name the golden client's disks."""

import os
import re
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import ImagedError
from imaged.model.plan import MakeSwapFile, RunInTarget, WriteFile
from imaged.model.size import MIB
from imaged.planning.fixups.bls import boot_entries_files
from imaged.planning.fixups.storage import fstab, mount_points
from imaged.planning.install import plan, plan_with_system
from imaged.store import facts as facts_of_tree
from imaged.store.tree import Tree
from installer import swapfile
from tests.nasty.outcome import carry_out, commands, steps_of, written
from tests.nasty.plans import NODE, NVME, SITE, layout, machine, own_layout, target, version
from tests.nasty.programs import loop, needs, needs_disks, processes, run
from tests.nasty.trees import DEAD, DEBIAN, OLD, RED_HAT, RED_HAT_ESP, image, two_kernels

# 13

FSTAB = r"""# /etc/fstab of the golden client

# / was on /dev/sda2 during installation
LABEL=root / ext4 defaults 0 1
LABEL=root /mnt/old ext4 noauto 0 0
LABEL=data /srv xfs nofail 0 2
# Home directories: ask Ada before you change this
#   (she knows the server)
nas:/export/home /home/all\040users nfs4 rw,nofail,x-systemd.automount,x-systemd.idle-timeout=10min 0 0
"/dev/sdb1" /var/lib/docker/ xfs defaults 0 0
/srv/a\040b /mnt/a\040b none bind,nofail 0 0
/srv/tree	/mnt/tree	none	rbind,nofail	0 0
/srv/disk.iso /mnt/iso iso9660 loop,ro,noauto 0 0
scratch_nodev /mnt/scratch beegfs rw,noauto,_netdev 0 0
tmpfs /var/volatile tmpfs size=1G 0 0
/swap/swapfile none swap sw 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
"""
SWAP_ON_BTRFS = {"fs: ext4": "fs: btrfs", "boot: {": "swap: [{file: /var/swapfile, size: 1G}]\nboot: {"}


def test_case_13_an_fstab_with_everything_in_it(tmp_path: Path) -> None:
    r"""Labels that two filesystems have, \040 in paths, comments, NFS that may fail, bind mounts, automounts, a file
    that is mounted, a filesystem nobody knows here, a swap file. What names the golden client's disks goes, with the
    comments on it; all else stays to the letter; the node's own come first, and by UUID."""
    facts = image(tmp_path, DEBIAN, {"etc/fstab": FSTAB})
    node = target(facts, layout("one-disk", **SWAP_ON_BTRFS), machine(NVME))
    carry_out((*fstab(node), *mount_points(node)), tmp_path)
    text = (tmp_path / "etc/fstab").read_text()
    golden = FSTAB.splitlines()
    assert text.splitlines()[-8:] == [*golden[6:9], *golden[10:15]]
    own = [line for line in text.splitlines()[:-8] if not line.startswith("#")]
    assert [line.split()[1:3] for line in own] == [
        ["/", "btrfs"], ["/boot/efi", "vfat"], ["none", "swap"], ["none", "swap"]
    ]  # fmt: skip
    assert [line.split()[0].partition("=")[0] for line in own] == ["UUID", "UUID", "UUID", "/var/swapfile"]
    assert (tmp_path / "home/all users").is_dir() and (tmp_path / "mnt/a b").is_dir()
    carry_out(fstab(evolve(node, facts=facts_of_tree.read(Tree(tmp_path)))), tmp_path)
    assert (tmp_path / "etc/fstab").read_text() == text, "an image of such a node makes the same file"


@needs("findmnt", "/usr/lib/systemd/system-generators/systemd-fstab-generator")
def test_case_13_systemd_and_findmnt_read_it_as_it_was_meant(tmp_path: Path) -> None:
    """The lines that stayed, read by those who will read them on the node: no fault in them once their mount points
    are there, and the automount is one."""
    facts = image(tmp_path, DEBIAN, {"etc/fstab": FSTAB})
    node = target(facts, layout("one-disk"), machine(NVME))
    carry_out((*fstab(node), *mount_points(node)), tmp_path)
    lines = [line for line in (tmp_path / "etc/fstab").read_text().splitlines() if not line.startswith("#")]
    kept = [re.sub(r"\s(/\S*)", rf" {tmp_path}\1", line, count=1) for line in lines if not line.startswith("UUID=")]
    assert len(kept) == 6
    (tmp_path / "kept").write_text("\n".join(kept) + "\n")
    assert "[E]" not in run("findmnt", "--verify", "--tab-file", str(tmp_path / "kept"))
    units = tmp_path / "units"
    units.mkdir()
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    run(generator, *3 * (str(units),), env={**os.environ, "SYSTEMD_FSTAB": str(tmp_path / "etc/fstab")})
    home = (units / "home-all\\x20users.mount").read_text()
    assert "What=nas:/export/home" in home and (units / "home-all\\x20users.automount").exists()
    assert "What=/srv/a b" in (units / "mnt-a\\x20b.mount").read_text()


@needs_disks
@needs("mkfs.btrfs", "lsattr", "losetup", "mount", "blkid", "partx")
@pytest.mark.skipif("btrfs" not in Path("/proc/filesystems").read_text(), reason="the kernel has no btrfs")
def test_case_13_a_swap_file_on_btrfs_is_made_so_that_the_kernel_takes_it(tmp_path: Path) -> None:
    """On btrfs a swap file must have no holes and no copy-on-write: the image's own (sparse here) is replaced."""
    with loop(tmp_path / "disk", 256 * MIB) as device:
        run("mkfs.btrfs", "-q", device)
        root = tmp_path / "root"
        root.mkdir()
        run("mount", device, str(root))
        try:
            (root / "swapfile").touch()
            os.truncate(root / "swapfile", 32 * MIB)
            uuid = "12345678-1234-4234-8234-123456789abc"
            swapfile.make_swap_file(MakeSwapFile("/swapfile", 32 * MIB, uuid), root, processes().run)
            found = (root / "swapfile").stat()
            assert (found.st_size, found.st_mode & 0o7777) == (32 * MIB, 0o600)
            assert found.st_blocks * 512 >= 32 * MIB
            assert "C" in run("lsattr", str(root / "swapfile")).split()[0]
            assert run("blkid", "-p", "-s", "UUID", "-o", "value", str(root / "swapfile")).strip() == uuid
        finally:
            run("umount", str(root))


# 14

CRYPTS = """
version: 1
disks:
  - id: os
    partitions:
      - {id: esp, role: esp, size: 512M, fs: vfat, mount: /boot/efi}
      - {id: bios, role: bios_grub}
      - {id: boot, role: boot, size: 1G, fs: ext4, mount: /boot}
      - {id: sys, role: luks, size: {min: 10G, weight: 1}}
      - {id: more, role: luks, size: {min: 1G, weight: 1}}
luks:
  - {id: crypt0, devices: os.sys, unlock: passphrase, fs: ext4, mount: /}
  - {id: data, devices: os.more, unlock: [keyfile, passphrase], fs: xfs, mount: /srv}
"""
CRYPTTAB = (
    f"# <name> <device> <key> <options>\nvault UUID={DEAD} /mnt/keys/vault.key luks\nkeys UUID={DEAD} none luks\n"
)


@needs("/usr/lib/systemd/system-generators/systemd-cryptsetup-generator")
def test_case_14_a_key_file_on_another_encrypted_filesystem(tmp_path: Path) -> None:
    """The golden client opened one device by a key on another. So does the node, of its own two: systemd waits for the
    root, where the key is, before it opens the second; and the key is in no initramfs, for /boot is in the clear."""
    facts = image(tmp_path, DEBIAN, {"etc/crypttab": CRYPTTAB})
    install = plan(NODE, version(facts), own_layout(CRYPTS), machine(NVME), SITE)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    lines = (tmp_path / "etc/crypttab").read_text().splitlines()
    assert [(line.split()[0], line.split()[2:]) for line in lines] == [
        ("crypt0", ["none", "luks,initramfs"]), ("data", ["/etc/imaged/keys/data", "luks"])
    ]  # fmt: skip
    units = tmp_path / "units"
    units.mkdir()
    generator = "/usr/lib/systemd/system-generators/systemd-cryptsetup-generator"
    run(generator, *3 * (str(units),), env={**os.environ, "SYSTEMD_CRYPTTAB": str(tmp_path / "etc/crypttab")})
    assert "RequiresMountsFor=/etc/imaged/keys/data" in (units / "systemd-cryptsetup@data.service").read_text()
    assert not [path for path in written(steps_of(install, WriteFile)) if "cryptsetup-initramfs" in path]


def test_case_14_the_key_file_is_in_no_initramfs_of_dracut_and_opens_no_root(tmp_path: Path) -> None:
    """Of Red Hat's initramfs the same; and a layout that would have the root opened by a key file is refused."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP)
    install, made = plan_with_system(NODE, version(facts), own_layout(CRYPTS), machine(NVME), SITE)
    (argv,) = (step.argv for step in steps_of(install, RunInTarget) if step.argv[0] == "dracut")
    assert "--install=/etc/crypttab" in argv and not [word for word in argv if "/etc/imaged/keys" in word]
    words = written(steps_of(install, WriteFile))["/etc/kernel/cmdline"]
    opened = {crypt.name: f"rd.luks.uuid={crypt.uuid}" in words for crypt in made.crypts}
    assert opened == {"crypt0": True, "data": False}
    with pytest.raises(ImagedError, match="it holds /, so a keyfile would lie in what it opens"):
        own_layout(CRYPTS.replace("unlock: passphrase", "unlock: keyfile"))


@pytest.mark.parametrize(
    ("crypttab", "rebuilt"), [(CRYPTTAB, True), ("# <name> <device> <key>\n", False)], ids=["devices", "header only"]
)
def test_case_14_a_node_without_encryption_waits_for_none_of_the_golden_clients(
    tmp_path: Path, crypttab: str, *, rebuilt: bool
) -> None:
    """Plain disks: nothing asks for a passphrase or a key of devices that are not there, neither the system nor an
    initramfs that was made on the golden client."""
    golden = {"etc/crypttab": crypttab, "etc/crypttab.initramfs": CRYPTTAB}
    facts = image(tmp_path, DEBIAN, golden)
    install = plan(NODE, version(facts), layout("one-disk"), machine(NVME), SITE)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not (tmp_path / "etc/crypttab").read_text().strip()
    assert not (tmp_path / "etc/crypttab.initramfs").exists()
    assert any(each.startswith("update-initramfs") for each in commands(install)) is rebuilt


# 15

RESUMING = {
    "etc/default/grub": (
        f'GRUB_CMDLINE_LINUX_DEFAULT="quiet resume=UUID={DEAD}"\nGRUB_CMDLINE_LINUX="resume_offset=34816 nosmt"\n'
    ),
    "etc/initramfs-tools/conf.d/resume": f"RESUME=UUID={DEAD}\n",
}
NO_SWAP = {"- {id: swap": "# - {id: swap"}
SWAP_FILE = {**NO_SWAP, "boot: {": "swap: [{file: /var/swapfile, size: 1G}]\nboot: {"}


@pytest.mark.parametrize(
    ("changes", "resumes"), [({}, True), (NO_SWAP, False), (SWAP_FILE, False)], ids=["partition", "none", "file"]
)
def test_case_15_a_swap_to_resume_from_that_is_gone(tmp_path: Path, changes: dict[str, str], *, resumes: bool) -> None:
    """The image's initramfs is generic and stays, with the golden client's swap in it, for which it would wait at each
    start. What GRUB passes wins over it, so GRUB says the node's own swap, or that there is none; a shell reads its
    files as grub-mkconfig does."""
    facts = image(tmp_path, DEBIAN, RESUMING)
    install, made = plan_with_system(NODE, version(facts), layout("one-disk", **changes), machine(NVME), SITE)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not [each for each in commands(install) if each.startswith("update-initramfs")]
    script = 'for file in etc/default/grub etc/default/grub.d/*.cfg; do . "./$file"; done;'
    script += 'printf %s "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'
    words = run("sh", "-c", script, cwd=tmp_path).split()
    swaps = [each.uuid for each in made.swaps if not each.file]
    expected = [f"resume=UUID={swaps[0]}"] if resumes else ["noresume"]
    assert [word for word in words if "resume" in word] == expected
    assert "nosmt" in words and "quiet" in words
    later = (tmp_path / "etc/initramfs-tools/conf.d/resume").read_text().strip()
    assert later == (f"RESUME=UUID={swaps[0]}" if resumes else "RESUME=none")


def test_case_15_the_same_in_boot_entries_of_red_hat(tmp_path: Path) -> None:
    """dracut resumes from what the entry says: never from the golden client's swap."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP, two_kernels(OLD))
    node = target(facts, layout("one-disk"), machine(NVME))
    texts = written(boot_entries_files(node))
    entries = [text for path, text in texts.items() if path.endswith(".conf")]
    assert len(entries) == 2
    for text in entries:
        assert re.findall(r"\bresume=\S+", text) == [f"resume=UUID={node.system.swaps[0].uuid}"]
