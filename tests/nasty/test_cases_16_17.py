"""The nasty cases 16 and 17: volume groups and filesystems that the image's own programs take."""

from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.plan import MakeFilesystem, MakeGroup, StartGroup
from imaged.model.stack import Filesystem
from imaged.planning.fixups.order import FIXUPS, apply
from imaged.planning.install import plan_with_system
from imaged.planning.layout import read as read_layout
from imaged.store import facts as facts_of_tree
from imaged.store import layouts
from imaged.store.tree import Tree
from installer import filesystems, groups
from tests.nasty.outcome import carry_out, steps_of
from tests.nasty.plans import FACTS, MACHINE, NODE, SITE, bare_target, planned, version
from tests.nasty.programs import loop, needs, processes, run
from tests.nasty.trees import ELF, lay

# 16

LVM_CONF = 'global {\n\tsystem_id_source = "machineid"\n}\ndevices {\n\tuse_devicesfile = 1\n}\n'


def test_case_16_no_list_of_the_golden_clients_disks_and_no_owner_hides_a_volume_group(tmp_path: Path) -> None:
    """RHEL 9 sees only the disks that /etc/lvm/devices lists, and an image may say that groups belong to one host: on
    the node neither may hide the groups that the install made."""
    root = lay(tmp_path, {
        "etc/lvm/lvm.conf": LVM_CONF, "usr/sbin/lvm": ELF, "etc/lvm/devices/system.devices": "IDTYPE=sys_wwid",
        "etc/lvm/devices/backup/system.devices-1": "IDTYPE=sys_wwid",
        "etc/lvm/lvmlocal.conf": 'local {\n\tsystem_id = "golden"\n\thost_tags = 1\n}\n',
    })  # fmt: skip
    made = bare_target(facts_of_tree.read(Tree(root)))
    carry_out(apply(FIXUPS, evolve(made, system=evolve(made.system, groups=("vg0",)))), root, programs=("sed",))
    assert list((root / "etc/lvm/devices").iterdir()) == []
    local = (root / "etc/lvm/lvmlocal.conf").read_text().splitlines()
    assert [line.strip() for line in local if not line.strip().startswith("#")] == ["local {", "host_tags = 1", "}"]
    assert (root / "etc/lvm/lvm.conf").read_text() == LVM_CONF, "the image's own settings stay"


@needs("lvm", "losetup", "wipefs", root=True)
def test_case_16_lvm_itself_shows_the_group_under_the_images_settings(tmp_path: Path) -> None:
    """A group of the installer's belongs to nobody; one that belonged to the node as it was before becomes such a
    one when it is kept."""
    before, after = (f'global{{system_id_source="lvmlocal"}} local{{system_id="{name}"}}' for name in "AB")
    more = " devices{use_devicesfile=0} backup{backup=0 archive=0}"

    def seen(config: str) -> list[str]:
        said = run("lvm", "vgs", "--config", config + more, "--noheadings", "-o", "vg_name")
        return [name for name in said.split() if name == "imaged16"]

    with loop(tmp_path / "disk", 64 << 20) as disk:
        for argv in groups.create_group(MakeGroup("imaged16", (disk,), 4 << 20)):
            run(*argv)
        assert seen(after) == ["imaged16"]
        run("lvm", "vgchange", "--config", before + more, "--yes", "--systemid", "A", "imaged16")
        assert (seen(before), seen(after)) == (["imaged16"], [])
        uuid = run("lvm", "vgs", "--foreign", "--noheadings", "-o", "vg_uuid", "imaged16").strip()
        try:
            groups.start_group(StartGroup("imaged16", uuid), processes().run)
            assert seen(after) == ["imaged16"]
        finally:
            run(*groups.lvm("vgremove", "--yes", "--force", "imaged16"))


# 17

# Of e2fsprogs 1.46 (Debian 11, RHEL 8) and 1.47.2 (Debian 13).
OLD_EXT4 = """\
[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
[fs_types]
ext4 = {
features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
inode_size = 256
}
"""
NEW_EXT4 = OLD_EXT4.replace("extra_isize", "extra_isize,orphan_file,metadata_csum_seed")


@needs("mke2fs", "mkfs.ext4", "dumpe2fs")
@pytest.mark.parametrize(("config", "new"), [(OLD_EXT4, set()), (NEW_EXT4, {"orphan_file", "metadata_csum_seed"})])
def test_case_17_ext4_has_the_features_of_the_image_not_of_the_ramdisk(
    tmp_path: Path, config: str, new: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new ramdisk formats the root of an old image: its kernel, fsck and GRUB must know every feature."""
    (tmp_path / "ramdisk.conf").write_text(NEW_EXT4)
    monkeypatch.setenv("MKE2FS_CONFIG", str(tmp_path / "ramdisk.conf"))
    root = lay(tmp_path / "image", {"etc/mke2fs.conf": config})
    facts = evolve(FACTS, mke2fs_conf=facts_of_tree.read(Tree(root)).mke2fs_conf)
    step = next(each for each in steps_of(planned(facts)[0], MakeFilesystem) if each.fs is Filesystem.EXT4)
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(64 << 20)
    filesystems.make_filesystem(evolve(step, device=str(disk)), processes().run)
    said = run("dumpe2fs", "-h", str(disk))
    features = next(line for line in said.splitlines() if line.startswith("Filesystem features"))
    assert set(features.split()) & {"orphan_file", "metadata_csum_seed"} == new
    assert step.uuid in said


XFS = """\
version: 1
disks:
- id: os
  match: [{size: '>=8G', pick: smallest}]
  partitions:
  - {id: esp, role: esp, size: 512M, fs: vfat, mount: /boot/efi}
  - {id: root, role: root, size: {min: 4G}, fs: xfs, mount: /, mkfs: [MKFS]}
"""


@needs("mkfs.xfs", "xfs_db")
@pytest.mark.parametrize(
    ("kernel", "mkfs", "expected"),
    [
        ("4.18.0-553.el8_10.x86_64", "", {"BIGTIME": False, "INOBTCNT": False, "NREXT64": False}),
        ("5.10.0-30-amd64", "", {"BIGTIME": False, "INOBTCNT": False, "NREXT64": False}),
        ("6.1.0-30-amd64", "", {"BIGTIME": True, "INOBTCNT": True, "NREXT64": False}),
        ("4.18.0-553.el8_10.x86_64", '"-m", "bigtime=1,reflink=0"', {"BIGTIME": True, "NREXT64": False}),
        ("6.12.0-1-amd64", '"-i", "nrext64=1"', {"BIGTIME": True, "NREXT64": True}),
    ],
)
def test_case_17_xfs_has_only_what_the_images_kernel_and_grub_read(
    tmp_path: Path, kernel: str, mkfs: str, expected: dict[str, bool]
) -> None:
    """The same of XFS, which has no file that tells: bigtime and inobtcount are news to RHEL 8's and Debian 11's
    kernels, nrext64 to every GRUB before 2.12. What the layout itself wants, it gets."""
    (tmp_path / "xfs.yaml").write_text(XFS.replace("MKFS", mkfs))
    facts = evolve(
        FACTS, kernels=(evolve(FACTS.kernels[0], version="6.12.1"), evolve(FACTS.kernels[0], version=kernel))
    )
    layout = read_layout(layouts.find(tmp_path, "xfs"), "xfs")
    plan, _ = plan_with_system(NODE, version(facts), layout, MACHINE, SITE)
    step = next(each for each in steps_of(plan, MakeFilesystem) if each.fs is Filesystem.XFS)
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(512 << 20)
    filesystems.make_filesystem(evolve(step, device=str(disk)), processes().run)
    features = run("xfs_db", "-r", "-c", "version", str(disk)).strip().split(",")
    assert {name: name in features for name in expected} == expected
