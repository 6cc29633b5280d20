"""The nasty cases 16 to 30: what breaks image installers on the second kind of machine, as a user would meet it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from uuid import UUID

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.daemon.provisioning import Provisioning
from imaged.model.capture import GoldenFacts, Mounted
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, CannotPlan, Conflict, ImagedError
from imaged.model.found import FoundPartition
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.host import Host
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.network import BOOT_NIC, Renderer
from imaged.model.node import BootAction, Node
from imaged.model.plan import (
    InstallPlan,
    MakeArray,
    MakeFilesystem,
    MakeGroup,
    MakeTable,
    MirrorEsp,
    RemovePath,
    RunInTarget,
    SetBootEntries,
    StartGroup,
    Step,
    SyncTree,
    WriteFile,
)
from imaged.model.report import Claim, Report, Status
from imaged.model.size import GIB
from imaged.model.stack import Filesystem
from imaged.model.system import System
from imaged.planning import capture
from imaged.planning.excludes import DEFAULT, excludes
from imaged.planning.fixups.identity import machine_identity
from imaged.planning.fixups.network import network
from imaged.planning.fixups.order import FIXUPS, apply
from imaged.planning.fixups.target import Target
from imaged.planning.identity import machine_id
from imaged.planning.install import Site, plan_with_system
from imaged.planning.layout import read as read_layout
from imaged.planning.network import read as read_network
from imaged.planning.rsync_filter import takes
from imaged.planning.update import Layers, plan_update
from imaged.store import facts as facts_of_tree
from imaged.store import labels, layouts
from imaged.store.database import tables
from imaged.store.images import Images
from imaged.store.manifest import format_manifest, parse_manifest
from imaged.store.seal import read_tree
from imaged.store.settings import build
from imaged.store.tree import Tree
from installer import filesystems, groups, transfer, tree, vault
from installer.inventory import NetDevice, nic
from installer.node import site as node_site
from installer.node import steps as node_steps
from installer.node import update as node_update
from installer.node.errors import Failed, Refused
from installer.node.fetch import Source
from installer.node.known import Known
from installer.node.stamps import Stamps
from installer.nvram import set_boot_entries
from installer.process import Processes

SITE = UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11")
MAC = Mac.parse("52:54:00:00:00:01")
NODE = Node("node07", (MAC,), ImageRef.parse("compute"))
MACHINE = Inventory(
    "x86_64", Firmware.UEFI, 2 * GIB, 2, (Disk("/dev/nvme0n1", 32 * GIB, bus=Bus.NVME, by_path="pci-nvme-1"),),
    (Nic("enp3s0", MAC, by_path="pci-0000:03:00.0"),), boot_mac=MAC,
)  # fmt: skip
FACTS = ImageFacts(
    arch="x86_64",
    kernels=(Kernel("6.1.0-1-amd64", "/boot/vmlinuz-6.1.0-1-amd64", "/boot/initrd.img-6.1.0-1-amd64"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    commands=("grub-install", "systemctl", "update-grub", "update-initramfs"),
    initramfs_generic=True,
)
LONG_AGO = 1_700_000_000 * 10**9
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)


def run(argv: tuple[str, ...] | list[str], **more) -> subprocess.CompletedProcess:
    return subprocess.run(argv, capture_output=True, text=True, check=True, **more)


def version(facts: ImageFacts = FACTS, bytes_: int = GIB) -> Version:
    return Version("compute", 1, "2026-01-01T00:00:00Z", "", bytes_, 1000, "0" * 64, facts)


def planned(facts: ImageFacts = FACTS, machine: Inventory = MACHINE, layout: str = "one-disk", bytes_: int = GIB):
    """The plan of an install with a layout that we ship, and the disks that it makes."""
    wanted = read_layout(layouts.find(Path("/nowhere"), layout), layout)
    return plan_with_system(NODE, version(facts, bytes_), wanted, machine, Site(SITE, "http://10.0.0.1:8080"))


def target(facts: ImageFacts, machine: Inventory = MACHINE) -> Target:
    return Target(NODE, facts, machine, SITE, "http://10.0.0.1:8080", planned(machine=machine)[1])


def of(kind: type, steps) -> list:
    return [each for each in steps if isinstance(each, kind)]


def every_step(plan) -> list[Step]:
    return [step for phase in plan.phases for step in phase.steps]


def lay(root: Path, files: dict[str, str | bytes]) -> Path:
    """Files of a tree, with all directories on the way."""
    for path, content in files.items():
        at = root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def carry_out(steps, root: Path, programs: tuple[str, ...] = ()) -> None:
    """The agent's own code on a real tree; of programs those named, on the file that they name last."""
    for step in steps:
        match step:
            case WriteFile():
                tree.write_file(step, root)
            case RemovePath():
                tree.remove_path(step, root)
            case RunInTarget(argv=(program, *words)) if program in programs:
                run((program, *words[:-1], str(tree.inside(root, words[-1]))))


@contextmanager
def mounted(kind: str, at: Path, *options: str) -> Iterator[None]:
    at.mkdir(parents=True, exist_ok=True)
    run(("mount", "-t", kind, *options, kind if kind in ("ramfs", "tmpfs") else "none", str(at)))
    try:
        yield
    finally:
        run(("umount", str(at)))


@contextmanager
def loop(file: Path, size: int) -> Iterator[str]:
    with open(file, "wb") as image:
        image.truncate(size)
    device = run(("losetup", "--find", "--show", str(file))).stdout.strip()
    try:
        yield device
    finally:
        run(("losetup", "--detach", device))


def needs(*programs: str, root: bool = True) -> pytest.MarkDecorator:
    """Root, for mounts, owners and flags, and programs that a machine may lack."""
    missing = [name for name in programs if not shutil.which(name)]
    missing += ["root"] if root and os.geteuid() != 0 else []
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


class UpdatedNode:
    """A tree that is to follow ``image``, both below ``base``, as a node's agent sees it."""

    def __init__(self, base: Path) -> None:
        self.image, self.root, self.state = base / "image", base / "node", base / "node/var/lib/imaged"
        self.image.mkdir()
        self.state.mkdir(parents=True)
        self.log: list[str] = []

    def update(self, *, kernel: str = "", confirmed: bool = False, **plan):
        manifest = self.root.parent / "manifest"
        manifest.write_text("".join(format_manifest(read_tree(self.image).entries)))
        site = node_site.Site(str(self.root), str(self.state), kernel, self.log.append, lambda *_: None, lambda _: None)
        stamps = Stamps.blank(len(manifest.read_bytes().splitlines()))
        whole = {"serial": "s", "image": "c@1", "protect": [], "fixups": [], **plan}
        source = Source({"image": f"{self.image}/", "overrides": f"{self.image.parent}/overrides/"}, {})
        known = Known(str(manifest), "", stamps, False)
        return node_update.update(site, whole, known, source, node_update.Options(confirmed=confirmed))


@pytest.fixture
def node(tmp_path: Path) -> UpdatedNode:
    return UpdatedNode(tmp_path)


def processes() -> Processes:
    return Processes(lambda _: None)


# --- 16 ------------------------------------------------------------------------------------------------------------

LVM_CONF = 'global {\n\tsystem_id_source = "machineid"\n}\ndevices {\n\tuse_devicesfile = 1\n}\n'


def test_case_16_no_list_of_the_golden_clients_disks_and_no_owner_hides_a_volume_group(tmp_path: Path) -> None:
    """RHEL 9 sees only the disks that /etc/lvm/devices lists, and an image may say that groups belong to one host: on
    the node neither may hide the groups that the install made."""
    root = lay(tmp_path, {
        "etc/lvm/lvm.conf": LVM_CONF, "usr/sbin/lvm": ELF, "etc/lvm/devices/system.devices": "IDTYPE=sys_wwid",
        "etc/lvm/devices/backup/system.devices-1": "IDTYPE=sys_wwid",
        "etc/lvm/lvmlocal.conf": 'local {\n\tsystem_id = "golden"\n\thost_tags = 1\n}\n',
    })  # fmt: skip
    made = target(facts_of_tree.read(Tree(root)))
    carry_out(apply(FIXUPS, evolve(made, system=evolve(made.system, groups=("vg0",)))), root, programs=("sed",))
    assert list((root / "etc/lvm/devices").iterdir()) == []
    local = (root / "etc/lvm/lvmlocal.conf").read_text().splitlines()
    assert [line.strip() for line in local if not line.strip().startswith("#")] == ["local {", "host_tags = 1", "}"]
    assert (root / "etc/lvm/lvm.conf").read_text() == LVM_CONF, "the image's own settings stay"


@needs("lvm", "losetup", "wipefs")
def test_case_16_lvm_itself_shows_the_group_under_the_images_settings(tmp_path: Path) -> None:
    """A group of the installer's belongs to nobody; one that belonged to the node as it was before becomes such a
    one when it is kept."""
    before, after = (f'global{{system_id_source="lvmlocal"}} local{{system_id="{name}"}}' for name in "AB")
    more = " devices{use_devicesfile=0} backup{backup=0 archive=0}"

    def seen(config: str) -> list[str]:
        said = run(("lvm", "vgs", "--config", config + more, "--noheadings", "-o", "vg_name")).stdout
        return [name for name in said.split() if name == "imaged16"]

    with loop(tmp_path / "disk", 64 << 20) as disk:
        for argv in groups.create_group(MakeGroup("imaged16", (disk,), 4 << 20)):
            run(argv)
        assert seen(after) == ["imaged16"]
        run(("lvm", "vgchange", "--config", before + more, "--yes", "--systemid", "A", "imaged16"))
        assert (seen(before), seen(after)) == (["imaged16"], [])
        uuid = run(("lvm", "vgs", "--foreign", "--noheadings", "-o", "vg_uuid", "imaged16")).stdout.strip()
        try:
            groups.start_group(StartGroup("imaged16", uuid), processes().run)
            assert seen(after) == ["imaged16"]
        finally:
            run(groups.lvm("vgremove", "--yes", "--force", "imaged16"))


# --- 17 ------------------------------------------------------------------------------------------------------------

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
UUID_ = "11111111-1111-5111-8111-111111111111"


@needs("mke2fs", "mkfs.ext4", "dumpe2fs", root=False)
@pytest.mark.parametrize(("config", "new"), [(OLD_EXT4, set()), (NEW_EXT4, {"orphan_file", "metadata_csum_seed"})])
def test_case_17_ext4_has_the_features_of_the_image_not_of_the_ramdisk(
    tmp_path: Path, config: str, new: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new ramdisk formats the root of an old image: its kernel, fsck and GRUB must know every feature."""
    (tmp_path / "ramdisk.conf").write_text(NEW_EXT4)
    monkeypatch.setenv("MKE2FS_CONFIG", str(tmp_path / "ramdisk.conf"))
    root = lay(tmp_path / "image", {"etc/mke2fs.conf": config})
    facts = evolve(FACTS, mke2fs_conf=facts_of_tree.read(Tree(root)).mke2fs_conf)
    step = next(each for each in of(MakeFilesystem, every_step(planned(facts)[0])) if each.fs is Filesystem.EXT4)
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(64 << 20)
    filesystems.make_filesystem(evolve(step, device=str(disk)), processes().run)
    said = run(("dumpe2fs", "-h", str(disk))).stdout
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


@needs("mkfs.xfs", "xfs_db", root=False)
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
    plan, _ = plan_with_system(NODE, version(facts), layout, MACHINE, Site(SITE, "http://10.0.0.1:8080"))
    step = next(each for each in of(MakeFilesystem, every_step(plan)) if each.fs is Filesystem.XFS)
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(512 << 20)
    filesystems.make_filesystem(evolve(step, device=str(disk)), processes().run)
    features = run(("xfs_db", "-r", "-c", "version", str(disk))).stdout.strip().split(",")
    assert {name: name in features for name in expected} == expected


# --- 18 ------------------------------------------------------------------------------------------------------------


@needs()
def test_case_18_a_store_that_would_lose_labels_is_refused_before_a_byte_is_moved(tmp_path: Path) -> None:
    """SELinux is enforcing on the golden client, and the image server's filesystem keeps no extended attributes: every
    label and capability would be lost. The capture says so when it begins."""
    with mounted("ramfs", tmp_path / "images"):
        images = Images(tmp_path / "images")
        with pytest.raises(Conflict, match="file capabilities and security labels") as caught, images.working("rhel9"):
            pytest.fail("it was begun")
        assert "ext4, XFS or btrfs" in caught.value.hint and images.unfinished() == ()
        assert [each.name for each in (tmp_path / "images/rhel9").glob(".keeps*")] == []
    with Images(tmp_path / "kept").working("rhel9") as working:
        assert working.tree.is_dir(), "the same where they are kept"


@needs()
def test_case_18_labels_are_in_the_manifest(tmp_path: Path) -> None:
    """Where labels are kept they are sealed: what a disk or a copy loses of them later is drift."""
    (tmp_path / "shadow").write_text("x")
    label = b"system_u:object_r:shadow_t:s0\0"
    os.setxattr(tmp_path / "shadow", "security.selinux", label)
    text = "".join(format_manifest(read_tree(tmp_path).entries))
    assert (
        dict(next(each for each in parse_manifest(text) if each.path == "shadow").xattrs)["security.selinux"] == label
    )


@needs()
@pytest.mark.parametrize(
    ("mode", "label", "told"),
    [("enforcing", b"", True), ("permissive", b"", True), ("disabled", b"", False),
     ("enforcing", b"system_u:object_r:etc_t:s0\0", False)],
)  # fmt: skip
def test_case_18_a_captured_tree_without_a_label_is_told_wherever_they_were_lost(
    tmp_path: Path, mode: str, label: bytes, told: bool
) -> None:
    """On the golden client's own filesystem, in an rsync that was made without them, or on the way."""
    text = f"# enforcing, permissive or disabled\nSELINUX={mode}\nSELINUXTYPE=targeted\n"
    lay(tmp_path, {"etc/selinux/config": text, "etc/passwd": "root"})
    if label:
        os.setxattr(tmp_path / "etc/passwd", "security.selinux", label)
    warnings = list(labels.lost(Tree(tmp_path)))
    assert [f"SELinux is {mode} in it and no file has a label" in each for each in warnings] == [True] * told


# --- 19 ------------------------------------------------------------------------------------------------------------


def furnish(root: Path) -> Path:
    """Everything that a file may be or have."""
    lay(root, {"bin/ping": "ping", "bin/su": "su", "srv/acl": "x", "usr/lib/farm/0": "farmed", "etc/resolv.conf": "#"})
    for number in range(1, 300):
        (root / f"usr/lib/farm/{number}").hardlink_to(root / "usr/lib/farm/0")
    run(("setcap", "cap_net_raw+ep", str(root / "bin/ping")))
    (root / "bin/su").chmod(0o4755)
    run(("setfacl", "-m", "u:1234:rw,d:g:77:r", str(root / "srv")))
    run(("setfacl", "-m", "u:1234:rw", str(root / "srv/acl")))
    os.chown(root / "srv/acl", 2**32 - 2, 2**32 - 2)
    raw = os.fsencode(root) + b"/srv/"
    for name in (b"caf\xe9", b"\xff\xfe", b"new\nline", b"#;*[?]\\", b" lead", b"n" * 255):
        with open(raw + name, "wb") as file:
            file.write(name)
    os.mkfifo(root / "srv/pipe")
    os.mknod(root / "srv/zero", 0o20640, os.makedev(1, 5))
    here = Path.cwd()
    os.chdir(root / "srv")  # paths of sockets hold 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("socket")
    finally:
        os.chdir(here)
    with open(root / "srv/sparse", "wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"island")
    for path in (*root.rglob("*"), root):
        os.utime(path, ns=(LONG_AGO + 7, LONG_AGO + 7), follow_symlinks=False)
    return root


def sealed(root: Path) -> dict[str, object]:
    """The entries of a tree, once written as a manifest and read again."""
    return {each.path: each for each in parse_manifest("".join(format_manifest(read_tree(root).entries)))}


def transferred(source: Path, to: Path) -> None:
    """The agent's rsync, with its own options, from a tree here."""
    to.mkdir()
    argv = transfer.argv(SyncTree("compute@1", "/", 0, 0), to)
    run(tuple(f"{source}/" if word == "rsync://imaged/image/" else word for word in argv))


@needs("setcap", "setfacl", "chattr", "rsync")
def test_case_19_a_node_gets_every_kind_of_file_as_it_was_sealed(tmp_path: Path) -> None:
    """Capabilities, ACLs, set-user-id, owners up to 2^32 - 2, hard links by the hundred, names that are no UTF-8,
    sockets, devices, holes: what the manifest says, the node has. The flag `immutable` is no part of an image: it would
    lock the node's own files against its fixups."""
    image = furnish(tmp_path / "image")
    run(("chattr", "+i", str(image / "etc/resolv.conf")))
    try:
        transferred(image, tmp_path / "node")
    finally:
        run(("chattr", "-i", str(image / "etc/resolv.conf")))
    expected = sealed(image)
    assert sealed(tmp_path / "node") == expected
    assert expected["srv/acl"].uid == 2**32 - 2 and expected["usr/lib/farm/7"].links == 300
    assert (tmp_path / "node/srv/sparse").stat().st_blocks * 512 < 1 << 20
    carry_out((WriteFile("/etc/resolv.conf", "nameserver 10.0.0.1\n"),), tmp_path / "node")


@needs("rsync", root=False)
def test_case_19_a_lastlog_of_a_terabyte_of_holes_takes_no_room(tmp_path: Path) -> None:
    """A user of uid 2^32 - 2 who logged in once makes lastlog a file of a terabyte, nearly all of it a hole. A capture
    leaves it out; where an image has such a file nevertheless, a plan does not ask for a disk of a terabyte."""
    log = lay(tmp_path / "golden", {"var/log/lastlog": ""}) / "var/log/lastlog"
    with open(log, "r+b") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"x" * 4096)
    rules = [f"--filter={each.rule}" for each in excludes(DEFAULT)]
    run(["rsync", "-aHAXS", *rules, f"{tmp_path}/golden/", f"{tmp_path}/image/"])
    assert [each.name for each in (tmp_path / "image/var/log").iterdir()] == []

    log.unlink()
    with open(log, "wb") as file:
        file.truncate(1 << 25)
        file.seek(1 << 24)
        file.write(b"x" * 4096)
    (tmp_path / "golden/var/log/plain").write_bytes(b"y" * 5000)
    found = read_tree(tmp_path / "golden")
    assert 9096 <= found.bytes < 1 << 20 and found.usage["/var/log"] == found.bytes
    assert next(each for each in found.entries if each.path == "var/log/lastlog").size == 1 << 25
    planned(bytes_=found.bytes)


@needs("chattr")
def test_case_19_an_update_names_the_file_that_nobody_may_change(node: UpdatedNode) -> None:
    """Somebody has made a file of the node immutable, and the image has another version of it."""
    lay(node.image, {"etc/issue": "one", "srv/door": ""})
    node.update()
    (node.image / "srv/door").unlink()
    os.mknod(node.image / "srv/door", 0o140755)
    (node.image / "etc/issue").write_text("other")
    run(("chattr", "+i", str(node.root / "etc/issue")))
    try:
        with pytest.raises(Failed, match="Operation not permitted") as caught:
            node.update()
    finally:
        run(("chattr", "-i", str(node.root / "etc/issue")))
    assert caught.value.where == "/etc/issue" and "lsattr" in caught.value.hint
    node.update()
    assert (node.root / "etc/issue").read_text() == "other" and (node.root / "srv/door").is_socket()


# --- 20 ------------------------------------------------------------------------------------------------------------

LINKS = {
    "etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
    "etc/fstab": "/run/fstab",
    "etc/hostname": "../../../../etc/hostname",
    "etc/hosts": "/usr/share/hosts",
    "etc/mailname": "/../../../../../../../etc/mailname",
}


@pytest.mark.parametrize("by", ["the installer", "an update"])
def test_case_20_no_link_leads_a_fixup_out_of_the_tree_or_to_where_a_boot_forgets_it(tmp_path: Path, by: str) -> None:
    """Links of the image in the place of files that fixups write: into /run, in a circle, and with so many `..` that
    they would reach the ramdisk's own files. The node has its files where it looks for them; nothing else changed."""
    root = lay(tmp_path / "mnt/ramdisk/target", {"run/keep": "", "usr/share/hosts": "golden"})
    victims = lay(tmp_path, {"etc/hostname": "ramdisk", "etc/mailname": "ramdisk"})
    for path, to in LINKS.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).symlink_to(to)
    facts = facts_of_tree.read(Tree(root))
    assert "ramdisk" not in repr(facts)
    for path in LINKS:
        if by == "the installer":
            tree.write_file(WriteFile(f"/{path}", "node07"), root)
        else:
            node_steps.carry_out({"step": "WriteFile", "path": f"/{path}", "content": "node07"}, str(root), print)
    assert [(victims / "etc" / name).read_text() for name in ("hostname", "mailname")] == ["ramdisk"] * 2
    assert [path.name for path in (root / "run").iterdir()] == ["keep"]
    own = {path: (root / path).is_symlink() for path in LINKS}
    assert own == {path: path == "etc/hosts" for path in LINKS}, "an image may keep a file elsewhere, if that lasts"
    assert all(tree.inside(root, f"/{path}").read_text() == "node07" for path in LINKS)
    assert (root / "usr/share/hosts").read_text() == "node07"


# --- 21 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "links",
    [
        {},
        {"var/lib/dbus/machine-id": "/etc/machine-id"},
        {"etc/machine-id": "/var/lib/dbus/machine-id"},
        {"etc/machine-id": "../run/machine-id"},
    ],
    ids=["two files", "as it should be", "the wrong way round", "made at each boot"],
)
def test_case_21_machine_id_and_dbus_id_are_one_file_whatever_they_were(tmp_path: Path, links: dict[str, str]) -> None:
    """dbus's id is a file of its own with the golden client's number in it, or /etc/machine-id is the link; either may
    be read-only. The node has one id, in /etc, and dbus links to it."""
    root = tmp_path
    for path in ("etc/machine-id", "var/lib/dbus/machine-id"):
        (root / path).parent.mkdir(parents=True)
        if path in links:
            (root / path).symlink_to(links[path])
        else:
            (root / path).write_text("90" * 16 + "\n")
            (root / path).chmod(0o444)
    facts = evolve(FACTS, files=facts_of_tree.read(Tree(root)).files)
    for step in machine_identity(target(facts)):
        tree.write_file(step, root) if isinstance(step, WriteFile) else tree.make_link(step, root)
    assert not (root / "etc/machine-id").is_symlink()
    own = (root / "etc/machine-id").read_text()
    assert own == f"{machine_id(SITE, NODE.name)}\n" != "90" * 16 + "\n"
    if "/var/lib/dbus/machine-id" in facts.files:
        assert tree.inside(root, "/var/lib/dbus/machine-id") == root / "etc/machine-id"
        assert (root / "var/lib/dbus/machine-id").is_symlink()


@needs()
def test_case_21_a_machine_id_that_is_mounted_over_is_left_or_told(tmp_path: Path) -> None:
    """systemd mounts an id of its own over /etc/machine-id where it cannot write the file: an update cannot put
    another in its place. It goes on where the id is right and says what is wrong where it is not."""
    root = lay(tmp_path, {"etc/machine-id": "a\n", "run/machine-id": "transient\n"})
    step = {"step": "WriteFile", "path": "/etc/machine-id", "content": "a\n", "mode": "0444"}
    (root / "etc/machine-id").chmod(0o444)
    for source in ("etc/machine-id", "run/machine-id"):
        run(("mount", "--bind", str(root / source), str(root / "etc/machine-id")))
        try:
            if source == "etc/machine-id":
                assert node_steps.carry_out(step, str(root), print) is False
            else:
                with pytest.raises(Failed, match="something is mounted over it") as caught:
                    node_steps.carry_out(step, str(root), print)
                assert caught.value.where == "/etc/machine-id"
        finally:
            run(("umount", str(root / "etc/machine-id")))
    assert sorted(each.name for each in (root / "etc").iterdir()) == ["machine-id"], "nothing half made is left"


def test_case_21_a_capture_takes_no_machine_id_mounted_or_not() -> None:
    """The golden client runs with such a mount: it is no filesystem to capture, and no id gets into the image."""
    mounts = (Mounted(1, "8:1", "/", "/", "ext4", "/dev/sda1"),
              Mounted(2, "0:22", "/machine-id", "/etc/machine-id", "tmpfs", "tmpfs"))  # fmt: skip
    golden = GoldenFacts("golden", "x86_64", "6.1", 0, "3.2", "uefi", 0, {}, mounts)
    made = capture.plan(golden, capture.Wishes())
    assert [each.at for each in made.kept] == ["/"]
    assert [each.at for each in made.left_out] == ["/etc/machine-id"]
    assert not takes(made.rules, "/etc/machine-id") and not takes(made.rules, "/var/lib/dbus/machine-id")


# --- 22 ------------------------------------------------------------------------------------------------------------


def image(root: Path, *units: str, files: dict[str, str | bytes] | None = None) -> ImageFacts:
    """What sealing finds in a tree where these units are enabled; kernels and GRUB as in FACTS."""
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    lay(root, {"usr/bin/systemctl": ELF, **(files or {})})
    wanted.mkdir(parents=True)
    for unit in units:
        (wanted / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
    found = facts_of_tree.read(Tree(root))
    return evolve(
        FACTS, commands=(*FACTS.commands, *found.commands), units=found.units, files=found.files, links=found.links,
        texts=found.texts,
    )  # fmt: skip


def said(**data) -> Host:
    """What an admin said of the node's network, in the words of YAML."""
    return Host(network=read_network(data, "test"))


def test_case_22_two_network_services_are_refused_until_one_is_named_and_the_other_keeps_off(tmp_path: Path) -> None:
    """NetworkManager and systemd-networkd are both enabled: each would ask for an address on the one NIC."""
    golden = {
        "etc/systemd/network/20-dhcp.network": "[Match]\nName=en*\n[Network]\nDHCP=yes\n",
        "etc/NetworkManager/system-connections/Wired.nmconnection": "[connection]\nid=Wired\ntype=ethernet\n",
    }  # fmt: skip
    facts = image(tmp_path, "NetworkManager.service", "systemd-networkd.service", files=golden)
    with pytest.raises(CannotPlan, match="NetworkManager and systemd-networkd") as caught:
        planned(facts)
    assert "renderer: networkd" in caught.value.hint
    for renderer, stays in (("networkd", "systemd/network"), ("networkmanager", "NetworkManager/system-connections")):
        root = tmp_path / renderer
        lay(root, golden)
        carry_out(apply(FIXUPS, evolve(target(facts), host=said(renderer=renderer))), root)
        profiles = [
            each.relative_to(root / "etc") for each in (root / "etc").rglob("*")
            if each.suffix in (".network", ".nmconnection")
        ]  # fmt: skip
        assert [str(each.parent) for each in profiles] == [stays]
        unmanaged = root / "etc/NetworkManager/conf.d/90-imaged.conf"
        assert unmanaged.exists() == (renderer == "networkd")


def test_case_22_netplan_alone_sets_up_the_network_where_others_left_their_files(tmp_path: Path) -> None:
    """Ubuntu after an upgrade: netplan beside ifupdown's old file, and cloud-init, though disabled, has left its YAML.
    The node has one NIC set up by one of them; netplan and ifupdown themselves say so."""
    root = tmp_path
    facts = image(root, "systemd-networkd.service", "networking.service", "cloud-init.service", files={
        "usr/sbin/netplan": ELF, "etc/cloud/cloud-init.disabled": "",
        "etc/netplan/50-cloud-init.yaml": "network:\n  version: 2\n  ethernets:\n    ens3: {dhcp4: true}\n",
        "etc/netplan/01-wifi.yaml": "network:\n  version: 2\n  wifis:\n    wlp1s0: {dhcp4: true}\n",
        "etc/network/interfaces": "auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n",
        "etc/network/interfaces.d/50-cloud-init": "auto ens3\niface ens3 inet dhcp\n",
        "etc/systemd/network/10-cloud-init-ens3.network": "[Match]\nName=ens3\n[Network]\nDHCP=ipv4\n",
    })  # fmt: skip
    carry_out(apply(FIXUPS, target(facts)), root)
    assert sorted(each.name for each in (root / "etc/netplan").iterdir()) == ["01-wifi.yaml", "90-imaged.yaml"]
    assert list((root / "etc/systemd/network").iterdir()) == [] and (root / "etc/cloud/cloud-init.disabled").exists()
    if shutil.which("ifquery"):
        interfaces = root / "etc/network/interfaces"
        own = interfaces.read_text().replace("/etc/network/interfaces.d", f"{root}/etc/network/interfaces.d")
        interfaces.write_text(own)
        assert run(("ifquery", "--list", "--all", "-i", str(interfaces))).stdout.split() == ["lo"]
    if shutil.which("netplan"):
        (root / "etc/netplan/01-wifi.yaml").unlink()
        run(("netplan", "generate", "--root-dir", str(root)))
        made = [each.read_text() for each in (root / "run/systemd/network").glob("*.network")]
        assert len(made) == 1 and str(MAC) in made[0]


# --- 23 ------------------------------------------------------------------------------------------------------------

RENDERERS = ("netplan", "networkmanager", "ifcfg", "wicked", "networkd", "ifupdown")
PORTS = tuple(
    Nic(f"enp3s0f{at}", Mac.parse(f"52:54:00:00:00:0{at}"), by_path=f"pci-0000:03:00.{at}") for at in range(4)
)
PORTED = evolve(MACHINE, nics=PORTS, boot_mac=PORTS[1].mac)


def written(host: Host, renderer: str, machine: Inventory = PORTED) -> dict[str, str]:
    """Files that a node's network becomes."""
    wanted = evolve(host, network=evolve(host.network, renderer=Renderer(renderer)))
    steps = network(evolve(target(FACTS), inventory=machine, host=wanted))
    return {step.path: step.content for step in of(WriteFile, steps)}


def test_case_23_ports_of_a_bond_are_told_apart_by_their_permanent_address() -> None:
    """A running bond gives all its ports one MAC, and that is what a look at sysfs finds: what the driver has burnt in
    counts, in the inventory and in what is written."""
    shared = {"address": "52:54:00:00:00:00", "type": "1"}
    ports = [NetDevice(f"eth{at}", {}, shared, permanent=str(PORTS[at].mac), driver="igb") for at in (0, 1)]
    assert [nic(each).mac for each in ports] == [PORTS[0].mac, PORTS[1].mac]
    host = said(interfaces=[{"name": "a0", "mac": str(PORTS[0].mac)}, {"name": "a1", "mac": str(PORTS[1].mac)}],
                bonds=[{"name": "bond0", "members": ["a0", "a1"], "ip": {"dhcp4": True}}])  # fmt: skip
    files = written(host, "networkd")
    for at in (0, 1):
        for kind in ("link", "network"):
            assert f"PermanentMACAddress={PORTS[at].mac}\n" in files[f"/etc/systemd/network/10-imaged-a{at}.{kind}"]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_case_23_a_bond_asks_by_dhcp_as_the_leg_that_booted(renderer: str) -> None:
    """LACP, and PXE came in on the second leg: the server knows that MAC. The bond must not ask with one that udev made
    up or that of whichever leg was first, or the node gets another address."""
    bond = {"name": "bond0", "members": ["a0", "a1"], "mode": "802.3ad", "ip": {"dhcp4": True}}
    host = said(interfaces=[{"name": "a0", "mac": str(PORTS[0].mac)}, {"name": "a1", "boot": True}], bonds=[bond])
    words = {
        "netplan": 'macaddress: "{0}"', "networkmanager": "cloned-mac-address={0}", "ifcfg": "MACADDR={0}",
        "wicked": "LLADDR='{0}'", "networkd": "MACAddress={0}", "ifupdown": "ip link set dev bond0 address {0}",
    }  # fmt: skip
    files = written(host, renderer)
    text = next(
        text for path, text in files.items() if "bond0.n" in path or path.endswith(("-bond0", "interfaces", "ml"))
    )
    assert words[renderer].format(PORTS[1].mac) in text
    if renderer == "networkmanager" and shutil.which("nmcli"):
        argv = ("nmcli", "--offline", "connection", "modify", "connection.autoconnect-retries", "3")
        assert f"cloned-mac-address={PORTS[1].mac}".upper() in run(argv, input=text).stdout.upper()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_case_23_a_trunk_without_a_native_vlan_has_no_address_and_nothing_waits_for_one(renderer: str) -> None:
    """All frames on the wire are tagged: the NIC itself asks for nothing, and the start does not wait for it to have an
    address; the VLAN on it has the node's."""
    vlan = {"name": "prod", "parent": "trunk0", "id": 42, "ip": {"addresses": ["10.0.0.7/24"], "ipv6": "static"}}
    host = said(interfaces=[{"name": "trunk0", "boot": True, "ip": {"ipv6": "off"}}], vlans=[vlan])
    files = written(host, renderer)
    everything = "\n".join(files.values())
    assert "10.0.0.7" in everything and "42" in everything
    lines = [line.strip().lower() for line in everything.splitlines()]
    asks = ("dhcp4: true", "method=auto", "bootproto=dhcp", "bootproto='dhcp'", "dhcp=ipv4", "dhcp=yes")
    assert not [line for line in lines if line in asks or line.endswith("inet dhcp")]
    if renderer == "networkd":
        trunk = files["/etc/systemd/network/10-imaged-trunk0.network"]
        assert {"LinkLocalAddressing=no", "RequiredForOnline=carrier", "VLAN=prod"} <= set(trunk.splitlines())
        assert "RequiredForOnline" not in files["/etc/systemd/network/10-imaged-prod.network"]


# --- 24 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", ["", "fab0"])
def test_case_24_a_name_from_the_ramdisk_is_written_nowhere(renderer: str, name: str) -> None:
    """udev 257 in the ramdisk says enp3s0, udev 249 in the image says ens3 of the same NIC. Nothing on the node may go
    by either: what needs a name gets one of ours, bound to the MAC."""
    host = said(interfaces=[{"name": name, "boot": True, "ip": {"dhcp4": True}}]) if name else Host(network=BOOT_NIC)
    files = written(host, renderer, MACHINE)
    assert "enp3s0" not in repr(files)
    by_name = renderer in ("wicked", "ifcfg", "ifupdown") or name
    bound = [text for text in files.values() if str(MAC) in text.lower()]
    assert bound
    if by_name:
        assert any((name or "lan0") in text for text in bound), "the name and the MAC are bound to each other"


def test_case_24_neither_does_the_plan_speak_of_it() -> None:
    """Not in a kernel argument, not in a script's variable, not in a check."""
    assert "enp3s0" in to_json(MACHINE) and "enp3s0" not in to_json(planned()[0])


# --- 25 ------------------------------------------------------------------------------------------------------------

SAME = evolve(MACHINE, nics=tuple(
    Nic(f"eth{at}", MAC, by_path=f"pci-0000:03:00.{at}") for at in range(8)
))  # fmt: skip


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ({"boot": True}, "eth0, eth1, eth2, eth3, eth4, eth5, eth6, eth7 all have the address 52:54:00:00:00:01"),
        ({"mac": str(MAC)}, "eth0, eth1, eth2, eth3, eth4, eth5, eth6, eth7 all have the address 52:54:00:00:00:01"),
        ({"path": "pci-0000:03:00.9"}, "no NIC is at pci-0000:03:00.9"),
    ],
)
def test_case_25_eight_ports_of_one_address_are_not_guessed_at(way: dict[str, object], fault: str) -> None:
    """Bad firmware gives all ports the same permanent address: a file by MAC would fit all of them."""
    with pytest.raises(CannotPlan, match=fault):
        written(said(interfaces=[{"name": "lan0", **way, "ip": {"dhcp4": True}}]), "networkd", SAME)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("way", [{"path": "pci-0000:03:00.3"}, {"index": 3}])
def test_case_25_such_a_port_and_a_nic_of_changing_address_go_by_where_they_are_plugged_in(
    renderer: str, way: dict[str, object]
) -> None:
    """So do USB NICs that make up a MAC at each start."""
    files = written(said(interfaces=[{"name": "lan0", **way, "ip": {"dhcp4": True}}]), renderer, SAME)
    assert files["/etc/systemd/network/10-imaged-lan0.link"] == "[Match]\nPath=pci-0000:03:00.3\n\n[Link]\nName=lan0\n"
    assert str(MAC) not in repr(files).lower()


def test_case_25_two_ports_at_one_place_are_told_from_each_other_by_mac_only() -> None:
    """Some cards have both ports in one PCI function."""
    both = evolve(PORTED, nics=tuple(evolve(each, by_path="pci-0000:03:00.0") for each in PORTS[:2]))
    with pytest.raises(CannotPlan, match=r"enp3s0f0, enp3s0f1 all are at .* say mac instead"):
        written(said(interfaces=[{"name": "a", "path": "pci-0000:03:00.0", "ip": {"dhcp4": True}}]), "networkd", both)
    assert written(said(interfaces=[{"name": "a", "index": 1, "ip": {"dhcp4": True}}]), "networkd", both)


@pytest.mark.parametrize(
    ("attributes", "permanent", "expected"),
    [
        ({"type": "32", "address": "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:4f:2c:d1"}, "", None),
        ({"type": "1", "address": "00:00:00:00:00:00"}, "00:00:00:00:00:00", "00:00:00:00:00:00"),
        ({"type": "1", "address": "02:1a:2b:3c:4d:5e"}, "00:00:00:00:00:00", "02:1a:2b:3c:4d:5e"),
        ({"type": "1", "address": "01:1a:2b:3c:4d:5e"}, "", None),
        ({"type": "1", "address": ""}, "", None),
    ],
    ids=["IPoIB", "nothing", "made up by the driver", "multicast", "no address"],
)
def test_case_25_what_has_no_ethernet_address_is_no_nic_that_one_could_go_by(
    attributes: dict[str, str], permanent: str, expected: str | None
) -> None:
    """An IPoIB interface has an address of 20 bytes that changes with the subnet manager; it breaks no inventory."""
    found = nic(NetDevice("ib0", {"ID_PATH": "pci-0000:81:00.0"}, attributes, permanent, "mlx5_core"))
    assert (str(found.mac) if found else None) == expected


# --- 26 ------------------------------------------------------------------------------------------------------------

ESP = "11111111-2222-4333-8444-555555555555"
# The firmware of a machine: what efibootmgr(8) prints is in a file, what goes wrong is said by $FAULT; $ESP is the
# partition that the disk has now.
EFIBOOTMGR = """#!/bin/sh
echo "$*" >>$0.log
said() { echo "Could not prepare Boot variable: $1" >&2; exit 5; }
case "$*" in *--verbose*)
  [ "$FAULT" = hidden ] && { echo "EFI variables are not supported on this system." >&2; exit 2; }
  cat $0.nvram; exit;; esac
[ "$FAULT" = read-only ] && said "Read-only file system"
for word; do case $before in --bootnum) sed -i "/^Boot$word/d" $0.nvram;;
  --bootorder) [ "$FAULT" = reorders ] || sed -i "s/^BootOrder.*/BootOrder: $word/" $0.nvram;; esac; before=$word; done
case "$*" in *--create-only*)
  [ "$FAULT" = full ] && said "No space left on device"
  [ "$FAULT" = drops ] || cat >>$0.nvram <<END
Boot0009* imaged\tHD(1,GPT,$ESP,0x800,0x1)/File(\\\\EFI\\\\BOOT\\\\BOOTX64.EFI)
END
  [ "$FAULT" = reorders ] && sed -i 's/^BootOrder: /BootOrder: 0009,/' $0.nvram;;
esac
exit 0
"""
NVRAM = """BootCurrent: 0002
BootOrder: 0001,0002
Boot0001* Windows\tHD(1,GPT,dddddddd-2222-4333-8444-555555555555,0x800,0x1)/File(\\EFI\\MS\\BOOT.EFI)
Boot0002* UEFI PXEv4\tPciRoot(0x0)/Pci(0x3,0x0)/MAC(525400000001,1)/IPv4(0.0.0.00.0.0.0,0,0)
"""


class Board:
    """A mainboard with variables, and one disk with an ESP."""

    def __init__(self, base: Path) -> None:
        self.bin, self.sys = base / "bin", base / "sys"
        lay(base, {"bin/efibootmgr": EFIBOOTMGR, "bin/blkid": '#!/bin/sh\necho "$ESP"\n', "bin/efibootmgr.nvram": NVRAM,
                   "sys/devices/block/vda/vda1/partition": "1\n", "sys/class/block/keep": ""})  # fmt: skip
        for name in ("efibootmgr", "blkid"):
            (self.bin / name).chmod(0o755)
        (self.sys / "class/block/vda1").symlink_to(self.sys / "devices/block/vda/vda1")

    def install(
        self, monkeypatch: pytest.MonkeyPatch, fault: str = "", *, required: bool = False, esp: str = ESP
    ) -> list[str]:
        """What the agent says as it sets the boot entries."""
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("FAULT", fault)
        monkeypatch.setenv("ESP", esp)
        heard: list[str] = []
        step = SetBootEntries("imaged", "/EFI/BOOT/BOOTX64.EFI", ("/dev/vda1",), required=required)
        set_boot_entries(step, processes().run, heard.append, self.sys)
        return heard

    @property
    def nvram(self) -> str:
        return (self.bin / "efibootmgr.nvram").read_text()

    @property
    def writes(self) -> list[str]:
        log = self.bin / "efibootmgr.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if "--verbose" not in line]


@pytest.mark.parametrize("fault", ["full", "read-only", "hidden", "drops"])
def test_case_26_firmware_that_takes_no_entry_ends_no_install_that_can_start_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """NVRAM is full, its variables cannot be written or read, or an entry is lost at once: the loader lies where
    firmware looks without an entry, so the install goes on and says what happened. Where the layout has no such copy,
    the node would not start, and the install fails."""
    board = Board(tmp_path)
    assert "The firmware keeps its boot entries as they were" in "".join(board.install(monkeypatch, fault))
    assert board.nvram == NVRAM, "nobody else's entries are touched"
    with pytest.raises(ImagedError, match="did not take a boot entry") as caught:
        board.install(monkeypatch, fault, required=True)
    assert "removable_path" in caught.value.hint


def test_case_26_the_removable_path_is_filled_unless_a_layout_says_otherwise() -> None:
    """What the case above rests on."""
    plan, _ = planned()
    grub = [" ".join(step.argv) for step in of(RunInTarget, every_step(plan)) if "--target=x86_64-efi" in step.argv]
    assert grub and all("--removable" in line or "--force-extra-removable" in line for line in grub)
    assert [step.required for step in of(SetBootEntries, every_step(plan))] == [False]


@pytest.mark.parametrize("fault", ["", "reorders"])
def test_case_26_the_network_stays_first_also_where_firmware_puts_new_entries_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Else the node could never be installed again from the network; the order is set again after the entry is made."""
    board = Board(tmp_path)
    assert board.install(monkeypatch, fault) == []
    assert board.writes[-1].endswith("--bootorder 0002,0009,0001")
    if not fault:
        assert "BootOrder: 0002,0009,0001\n" in board.nvram


@pytest.mark.parametrize(
    ("machine", "fault"),
    [
        ({"efi_bits": 32}, "firmware is of 32 bits"),
        ({"secure_boot": True}, "Secure Boot is on and the image has no signed boot loader"),
    ],
)
def test_case_26_what_the_firmware_would_refuse_is_refused_before_the_disk_is_wiped(
    machine: dict[str, object], fault: str
) -> None:
    """UEFI of 32 bits on a 64-bit processor, and Secure Boot with a GRUB that nobody has signed."""
    with pytest.raises(CannotPlan, match=fault):
        planned(machine=evolve(MACHINE, **machine))


# --- 27 ------------------------------------------------------------------------------------------------------------


def test_case_27_an_image_of_another_processor_is_refused_at_install_and_update(tmp_path: Path) -> None:
    """An arm64 image was given to an x86 node: by the programs in the tree, not by its name."""
    arm = bytearray(ELF)
    arm[18] = 183
    facts = facts_of_tree.read(Tree(lay(tmp_path, {"bin/sh": bytes(arm)})))
    assert facts.arch == "aarch64"
    wrong = evolve(FACTS, arch=facts.arch, grub_platforms=("arm64-efi", "i386-pc", "x86_64-efi"))
    with pytest.raises(CannotPlan, match="the image is for aarch64, the machine is x86_64"):
        planned(wrong)
    system, site = planned()[1], Site(SITE, "http://10.0.0.1:8080")
    with pytest.raises(CannotPlan, match="compute@1 is for aarch64, the node is x86_64"):
        plan_update(NODE, version(wrong), system, MACHINE, site, Layers(), 8730)


@pytest.mark.parametrize("merged", [False, True], ids=["/lib64", "/usr/lib64"])
def test_case_27_an_update_does_not_change_the_c_library_for_another_one(node: UpdatedNode, merged: bool) -> None:
    """From glibc to musl within one distribution: in the middle of it no program of the node would start, rsync and
    Python among them. It is refused before the first write; a newer glibc is not."""
    where = "usr/lib64" if merged else "lib64"
    shell = ELF + b"\0/lib64/ld-linux-x86-64.so.2\0"
    lay(node.image, {f"{where}/ld-linux-x86-64.so.2": "2.31", "usr/bin/sh": shell, "etc/os-release": "ID=void\n",
                     "usr/lib/ld-linux.so.2": "of 32 bits"})  # fmt: skip
    for name in ("bin", "lib64") if merged else ("bin",):
        (node.image / name).symlink_to(f"usr/{name}")
    node.update(guard={"os_id": "void"})
    (node.image / where / "ld-linux-x86-64.so.2").write_text("2.36")
    (node.image / "usr/lib/ld-linux.so.2").unlink()
    node.update(guard={"os_id": "void"})
    (node.image / where / "ld-linux-x86-64.so.2").unlink()
    lay(node.image, {"lib/ld-musl-x86_64.so.1": "musl"})
    with pytest.raises(Refused, match=r"no /lib64/ld-linux-x86-64\.so\.2, which starts every program"):
        node.update(guard={"os_id": "void"})
    assert (node.root / where / "ld-linux-x86-64.so.2").read_text() == "2.36"
    assert not (node.root / "lib/ld-musl-x86_64.so.1").exists()
    node.update(guard={"os_id": "void"}, confirmed=True)
    assert (node.root / "lib/ld-musl-x86_64.so.1").exists()


# --- 28 ------------------------------------------------------------------------------------------------------------

ESP_ON_RAID = """\
version: 1
disks:
- id: os
  match: [{rotational: false}]
  count: 2
  partitions:
  - {id: e, role: ROLE, size: 512M}
  - {id: r, role: raid, size: {min: 10G}}
raid:
- {id: md-esp, level: 1, metadata: "METADATA", devices: ["os[*].e"], fs: vfat, mount: /boot/efi}
- {id: md-root, level: 1, devices: ["os[*].r"], fs: ext4, mount: /}
"""


@pytest.mark.parametrize(
    ("role", "metadata", "fault"),
    [
        ("raid", "1.2", "firmware reads nothing but partitions of role esp .esp.mirrors keeps copies alike"),
        ("raid", "1.0", "firmware reads nothing but partitions of role esp .esp.mirrors keeps copies alike"),
        ("esp", "1.2", "role"),
    ],
)
def test_case_28_an_esp_on_an_array_is_refused_with_what_to_do_instead(
    tmp_path: Path, role: str, metadata: str, fault: str
) -> None:
    """With metadata 1.2 the superblock lies where firmware looks for FAT; with 1.0 firmware would write to one half of
    the mirror."""
    text = ESP_ON_RAID.replace("ROLE", role).replace("METADATA", metadata)
    with pytest.raises(BadInput, match=fault):
        read_layout(layouts.find(lay(tmp_path, {"mirror.yaml": text}), "mirror"), "mirror")


def test_case_28_each_disk_of_a_mirror_has_a_plain_esp_with_the_same_in_it() -> None:
    """What to do instead, as shipped: two partitions, one copied once the boot loader is in it, an entry for each."""
    disks = tuple(
        Disk(f"/dev/nvme{at}n1", 480 * GIB, bus=Bus.NVME, serial=f"S{at}", by_path=f"nvme-{at}") for at in (0, 1)
    )
    plan, system = planned(evolve(FACTS, commands=(*FACTS.commands, "mdadm")), evolve(MACHINE, disks=disks),
                           layout="raid1-data-raid")  # fmt: skip
    steps = every_step(plan)
    esps = [each.device for each in of(MakeFilesystem, steps) if each.fs is Filesystem.VFAT]
    assert len(esps) == 2 and not any("/md/" in each for each in esps)
    (mirror,), (entries,) = of(MirrorEsp, steps), of(SetBootEntries, steps)
    assert [system.esp.device, *mirror.devices] == esps == list(entries.devices)
    loader = max(
        at for at, step in enumerate(steps) if isinstance(step, RunInTarget) and step.argv[0] == "grub-install"
    )
    assert loader < steps.index(mirror) < steps.index(entries)
    assert not set(esps) & {member for each in of(MakeArray, steps) for member in each.members}


# --- 29 ------------------------------------------------------------------------------------------------------------


def test_case_29_the_running_kernel_stays_though_the_image_has_it_no_more(node: UpdatedNode) -> None:
    """The image went from 6.1 to 6.12. What the node runs must be able to load its modules, and to start again if the
    new one does not; once the new one runs, the old one goes."""
    for kernel in ("6.1", "6.12"):
        lay(node.image, {f"boot/vmlinuz-{kernel}": kernel, f"boot/initrd.img-{kernel}": kernel,
                         f"usr/lib/modules/{kernel}/kernel/fs/ext4.ko": kernel})  # fmt: skip
    node.update(kernel="6.1")
    for path in ("boot/vmlinuz-6.1", "boot/initrd.img-6.1"):
        (node.image / path).unlink()
    shutil.rmtree(node.image / "usr/lib/modules/6.1")
    outcome = node.update(kernel="6.1")
    old = [
        node.root / path
        for path in ("boot/vmlinuz-6.1", "boot/initrd.img-6.1", "usr/lib/modules/6.1/kernel/fs/ext4.ko")
    ]
    assert all(path.exists() for path in old)
    assert {each.reason for each in outcome.actions} == {"kernel 6.1 must stay bootable"}
    node.update(kernel="6.12")
    assert not any(path.exists() for path in old)


@pytest.fixture
def small_boot(node: UpdatedNode) -> Iterator[UpdatedNode]:
    """A node with a /boot of 16 MiB of its own."""
    with loop(node.root.parent / "boot.img", 16 << 20) as device:
        run(("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", device))
        boot = node.root / "boot"
        boot.mkdir()
        run(("mount", device, str(boot)))
        try:
            (boot / "lost+found").rmdir()
            lay(node.root, {"etc/fstab": "UUID=1 /boot ext4 defaults 0 2\n"})
            lay(node.image, {"etc/fstab": "UUID=1 /boot ext4 defaults 0 2\n", "boot/vmlinuz-6.1": b"k" * (1 << 20)})
            yield node
        finally:
            run(("umount", str(boot)))


def content(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file() and "imaged" not in str(path.relative_to(root)))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@needs("losetup", "mke2fs")
def test_case_29_an_update_that_does_not_fit_a_full_boot_writes_nothing(small_boot: UpdatedNode) -> None:
    """/boot is 98 % full, and the new kernel needs more than is left: it is told before the first write, and of the one
    filesystem that is too small, though there is room in plenty on the root."""
    node = small_boot
    node.update()
    filler = node.root / "boot/dump"
    free = shutil.disk_usage(node.root / "boot")
    filler.write_bytes(b"d" * (free.free - free.total // 50))
    lay(node.image, {"boot/vmlinuz-6.12": b"k" * (1 << 20), "usr/bin/tool": "new"})
    before = content(node.root)
    with pytest.raises(Failed, match="1 MiB are needed and 0 are free") as caught:
        node.update(protect=[{"pattern": "/boot/dump", "reason": "mine"}])
    assert caught.value.where == "/boot" and caught.value.hint == "Nothing was changed."
    assert content(node.root) == before
    filler.unlink()
    node.update()
    assert content(node.root) == content(node.image)


@needs("losetup", "mke2fs")
def test_case_29_nor_one_whose_initramfs_would_not_fit(small_boot: UpdatedNode) -> None:
    """The kernel itself fits, but not the initramfs that is made for it here: update-initramfs would stop half-way,
    with a new kernel in the menu that cannot start."""
    node = small_boot
    node.update()
    keep = [{"pattern": "/boot/initrd.img-*", "reason": "built on the node"}]
    (node.root / "boot/initrd.img-6.1").write_bytes(b"i" * (6 << 20))
    lay(node.image, {"boot/vmlinuz-6.12": b"k" * (1 << 20)})
    step = {"step": "RunInTarget", "argv": ["update-initramfs", "-c", "-k", "6.12"], "stdin": "", "timeout": 60}
    kernels = [{"version": name, "image": f"/boot/vmlinuz-{name}", "initrd": f"/boot/initrd.img-{name}"}
               for name in ("6.12", "6.1")]  # fmt: skip
    plan = {"protect": keep, "kernels": kernels, "bootloader": [{"step": step, "when": ["/boot/vmlinuz-6.12"]}]}
    (node.root / "boot/dump").write_bytes(b"d" * (4 << 20))
    plan["protect"] = [*keep, {"pattern": "/boot/dump", "reason": "mine"}]
    with pytest.raises(Failed, match=r"8 MiB are needed and [345] are free") as caught:
        node.update(**plan)
    assert caught.value.where == "/boot" and not (node.root / "boot/vmlinuz-6.12").exists()
    lay(node.image, {"usr/bin/tool": "new"})
    (node.image / "boot/vmlinuz-6.12").unlink()
    node.update(**plan)
    assert (node.root / "usr/bin/tool").read_text() == "new", "no room is asked for what is not made"


def test_case_29_a_version_with_var_on_its_own_moves_nothing_on_the_node(node: UpdatedNode) -> None:
    """The new golden client has /var on a filesystem of its own. The node has not, and an update makes none: its fstab
    stays that of its own disks, and what the image has in /var comes to where the node's is."""
    system, site = planned()[1], Site(SITE, "http://10.0.0.1:8080")
    golden = "UUID=aaaaaaaa-1111-4111-8111-111111111111 / ext4 defaults 0 1\n"
    split = golden + "UUID=bbbbbbbb-2222-4222-8222-222222222222 /var xfs defaults 0 0\n"
    fstabs = []
    for text in (golden, split):
        facts = evolve(FACTS, texts={"/etc/fstab": text}, files=("/etc/fstab",))
        plan = plan_update(NODE, version(facts), system, MACHINE, site, Layers(), 8730)
        (fstab,) = (
            each.step for each in plan.fixups if isinstance(each.step, WriteFile) and each.step.path == "/etc/fstab"
        )
        fstabs.append(fstab.content)
    assert fstabs[0] == fstabs[1] and " /var " not in fstabs[0]

    lay(node.root, {"etc/fstab": fstabs[0], "var/lib/app/data": "the node's"})
    lay(node.image, {"etc/fstab": split, "var/lib/app/new": "the image's"})
    keep = [{"pattern": pattern, "reason": "x"} for pattern in ("/etc/fstab", "/var/lib/app/data")]
    node.update(protect=keep)
    assert (node.root / "etc/fstab").read_text() == fstabs[0]
    assert sorted(each.name for each in (node.root / "var/lib/app").iterdir()) == ["data", "new"]


SIGNED = ("shim.efi", "grub.efi", "MokManager.efi")
NEW, OLD = b"new" * 1000, b"old" * 1000


def test_case_29_a_power_cut_while_the_esp_is_written_leaves_a_loader_that_is_whole(tmp_path: Path) -> None:
    """An update brings a new signed shim and GRUB. FAT has no journal, so a copy may be cut anywhere: of the loaders in
    the vendor's directory and those in the removable path, one set is whole at any time; another ESP is not written."""
    chain = tuple(f"/usr/share/efi/x86_64/{name}" for name in SIGNED)
    facts = evolve(FACTS, files=(*chain, "/boot/efi"), commands=("grub2-mkconfig", "dracut"), grub_platforms=())
    system = evolve(planned()[1], esp_mirrors=("/dev/nvme1n1p1",), bios=False)
    plan = plan_update(NODE, version(facts), system, MACHINE, Site(SITE, "http://10.0.0.1:8080"), Layers(), 8730)
    sets = [
        {f"boot/efi/EFI/opensuse/{name}" for name in SIGNED},
        {f"boot/efi/EFI/BOOT/{name}" for name in ("BOOTX64.EFI", *SIGNED[1:])},
    ]
    root = lay(tmp_path, {**dict.fromkeys(chain, NEW), **dict.fromkeys(sets[0] | sets[1], OLD)})

    def whole(files: set[str]) -> bool:
        return all((root / path).is_file() and (root / path).read_bytes() in (NEW, OLD) for path in files)

    steps = [each.step for each in plan.bootloader if isinstance(each.step, RunInTarget | RemovePath)]
    copied = set()
    for step in steps:
        if isinstance(step, RemovePath):
            tree.remove_path(step, root)
        elif step.argv[0] == "cp":
            source, to = (word.lstrip("/") for word in step.argv[-2:])
            (root / to).write_bytes(b"half")  # cp(1) truncates, then writes
            assert any(map(whole, sets)), f"{to} was cut short, and nothing else would start"
            shutil.copy(root / source, root / to)
            copied.add(to)
    assert copied == sets[0] | sets[1] and {(root / path).read_bytes() for path in copied} == {NEW}
    assert "/dev/nvme1n1p1" not in to_json(plan)


# --- 30 ------------------------------------------------------------------------------------------------------------

TIMES = 100


def after(machine: Inventory, plan: InstallPlan, system: System) -> Inventory:
    """What the agent finds on the disk that this plan has made."""
    (table,) = of(MakeTable, every_step(plan))
    holds = {each.device: (each.fs.value, each.uuid) for each in system.filesystems}
    found = tuple(
        FoundPartition(
            each.number, each.start, each.size, each.name, "", *holds.get(f"/dev/nvme0n1p{each.number}", ("", ""))
        )
        for each in table.partitions
    )
    kinds = ", ".join(each.holds or "unknown" for each in found)
    disk = evolve(machine.disks[0], partitions=found, table="gpt", contents=f"gpt, {len(found)} partitions: {kinds}")
    return evolve(machine, disks=(disk,))


class Clock:
    """Time as the test says."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Provisioning:
    settings = evolve(build({"address": "10.0.0.1"}, where="test"), state=PurePosixPath(tmp_path / "state"))
    made = Provisioning(settings, clock)
    with made.images.working("compute") as working:
        programs = (
            "usr/sbin/grub-install",
            "usr/sbin/update-grub",
            "usr/sbin/update-initramfs",
            "usr/bin/ssh-keygen",
            "bin/sh",
        )
        platforms = (f"usr/lib/grub/{each}/moddep.lst" for each in ("i386-pc", "x86_64-efi"))
        more = {
            "boot/vmlinuz-6.1": "k",
            "boot/initrd.img-6.1": "i",
            "lib/modules/6.1/modules.dep": "",
            "etc/fstab": "#",
        }
        lay(working.tree, {**dict.fromkeys(programs, ELF), **dict.fromkeys(platforms, "x"), **more})
        made.images.publish(made.images.seal(working, origin="test"), "stable")
    made.nodes.add(NODE)
    return made


def rows(server: Provisioning) -> dict[str, int]:
    with server.engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in tables.sorted_tables
        }


@needs("ssh-keygen")
def test_case_30_a_node_that_is_imaged_a_hundred_times_is_the_same_node_and_nothing_grows(
    server: Provisioning, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same host keys, so that nobody's known_hosts complains; the same machine-id and hash of the plan; one boot
    entry in NVRAM; and on server and node no more rows, files and lines after the hundredth install than after the
    second."""
    board, machine, state = Board(tmp_path / "board"), MACHINE, tmp_path / "state"
    seen: list[dict[str, object]] = []
    for number in range(TIMES):
        clock.now += 2 * 86400
        server.nodes.set_action([NODE.name], BootAction.INSTALL)
        token = server.boot_script(MAC, "").split("imaged.token=")[1].split()[0]
        server.claim(Claim(token, f"secret {number}"))
        answer = server.answer_plan(NODE.name, machine)
        root = lay(tmp_path / "disk", {"etc/ssh/sshd_config": ""})
        carry_out(every_step(answer.plan), root)
        vault.restore(server.identity(NODE.name), root)
        run(("ssh-keygen", "-A", "-f", str(root)))
        server.keep_identity(NODE.name, vault.collect(root))
        keys = {path.name: path.read_text() for path in (root / "etc/ssh").glob("*.pub")}
        server.record_host_keys(NODE.name, "".join(keys.values()))
        for phase in answer.plan.phases:
            server.record_report(NODE.name, Report(phase.name, Status.DONE, 1.0))
        server.record_up(NODE.name)
        before = len(board.writes)
        board.install(monkeypatch, esp=str(UUID(int=1 + number // 2)))  # a new table brings a new one
        assert (len(board.writes) == before) is bool(number % 2), "what is right already is not written"
        seen.append({
            "keys": keys, "told": server.nodes.fact(NODE.name, "host_keys"),
            "machine-id": (root / "etc/machine-id").read_text(),
            "files of the node": {path: text for path, text in content(root).items() if "ssh_host" not in path},
            "fixups.json": (root / "var/lib/imaged/fixups.json").read_text(),
            "rows": rows(server), "files of the server": sorted(str(path) for path in state.rglob("*")),
            "kept": sorted((path.name, path.stat().st_size) for path in (state / "vault").rglob("*")),
            "entries": board.nvram.count("imaged"), "lines": board.nvram.count("\n"), "hash": answer.hash,
        })  # fmt: skip
        system = from_json(server.nodes.fact(NODE.name, "system"), System)
        machine = after(machine, answer.plan, system)
        shutil.rmtree(root)
    assert len(seen[0]["keys"]) >= 3 and seen[0]["entries"] == 1
    assert all(each["keys"] == seen[0]["keys"] and each["lines"] == seen[0]["lines"] for each in seen)
    assert all(each == seen[1] for each in seen[1:]), "the first differs: the disk was blank"
