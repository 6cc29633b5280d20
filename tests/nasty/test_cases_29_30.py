"""The nasty cases 29 and 30: an update that must not break the node, and a node imaged a hundred times."""

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from uuid import UUID

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json
from imaged.model.found import FoundPartition
from imaged.model.hardware import Inventory
from imaged.model.node import BootAction
from imaged.model.plan import CheckFile, CopyFile, InstallPlan, MakeTable, WriteFile
from imaged.model.report import Report, Status
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, System
from imaged.model.talk import Claim
from imaged.model.uefi import MirrorEsp
from imaged.planning.update import Layers, plan_update
from imaged.store.seal import read_tree
from imaged.store.settings import build
from imaged.store.tables import tables
from installer import esp, vault
from installer.node.errors import Failed
from tests.nasty.board import Board
from tests.nasty.outcome import carry_out, every_step, steps_of
from tests.nasty.plans import FACTS, MAC, MACHINE, NODE, SITE, planned, version
from tests.nasty.programs import loop, needs, run
from tests.nasty.trees import ELF, lay
from tests.nasty.updates import UpdatedNode

# 29


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
        run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", device)
        boot = node.root / "boot"
        boot.mkdir()
        run("mount", device, str(boot))
        try:
            (boot / "lost+found").rmdir()
            lay(node.root, {"etc/fstab": "UUID=1 /boot ext4 defaults 0 2\n"})
            lay(node.image, {"etc/fstab": "UUID=1 /boot ext4 defaults 0 2\n", "boot/vmlinuz-6.1": b"k" * (1 << 20)})
            yield node
        finally:
            run("umount", str(boot))


def content(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file() and "imaged" not in str(path.relative_to(root)))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@needs("losetup", "mke2fs", root=True)
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


@needs("losetup", "mke2fs", "rsync", root=True)
def test_case_29_holes_of_a_file_need_no_room(small_boot: UpdatedNode) -> None:
    """A file of 64 MiB, nearly all of it a hole, comes to a filesystem of 16 MiB."""
    node = small_boot
    with (node.image / "boot/sparse").open("wb") as file:
        file.seek(32 << 20)
        file.write(b"x" * 4096)
        file.truncate(64 << 20)
    with pytest.raises(Failed, match="MiB are needed"):
        node.update()
    node.update(sparse=read_tree(node.image).sparse)
    assert content(node.root) == content(node.image)


@needs("losetup", "mke2fs", root=True)
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
    system = planned()[1]
    golden = "UUID=aaaaaaaa-1111-4111-8111-111111111111 / ext4 defaults 0 1\n"
    split = golden + "UUID=bbbbbbbb-2222-4222-8222-222222222222 /var xfs defaults 0 0\n"
    fstabs = []
    for text in (golden, split):
        facts = evolve(FACTS, texts={"/etc/fstab": text}, files=("/etc/fstab",))
        plan = plan_update(NODE, version(facts), system, MACHINE, SITE, Layers(), 8730)
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
    """An update brings a new signed shim and GRUB. FAT has no journal, and a cut may come before any rename: of the
    loaders in the vendor's directory and those in the removable path, one set is of one version at any time. The other
    ESPs follow, found by their own UUIDs: names of disks change."""
    chain = tuple(f"/usr/share/efi/x86_64/{name}" for name in SIGNED)
    facts = evolve(FACTS, files=(*chain, "/boot/efi"), commands=("grub2-mkconfig", "dracut"), grub_platforms=())
    copy = PlannedFilesystem("/dev/nvme1n1p1", Filesystem.VFAT, "CCCC-DDDD", "")
    system = evolve(planned()[1], esp_mirrors=(copy.device,), spare=(copy,), bios=False)
    plan = plan_update(NODE, version(facts), system, MACHINE, SITE, Layers(), 8730)
    sets = [
        [f"boot/efi/EFI/opensuse/{name}" for name in SIGNED],
        [f"boot/efi/EFI/BOOT/{name}" for name in ("BOOTX64.EFI", *SIGNED[1:])],
    ]
    steps = [each.step for each in plan.bootloader if not each.when]
    copies = [step for step in steps if isinstance(step, CopyFile)]
    assert [step.path[1:] for step in copies if "/EFI/BOOT/" not in step.path] == sets[0]
    for cut in range(len(copies) + 1):
        root = lay(tmp_path / str(cut), {**dict.fromkeys(chain, NEW), **dict.fromkeys(sets[0] + sets[1], OLD)})
        for step in copies[:cut]:
            esp.copy_file(step, root)
        assert any(len({(root / path).read_bytes() for path in each}) == 1 for each in sets)
    assert {(root / path).read_bytes() for each in sets for path in each} == {NEW}
    assert [step for step in steps if not isinstance(step, CheckFile)][-1] == MirrorEsp(
        "/boot/efi", ("UUID=CCCC-DDDD",)
    )


def test_case_29_loaders_of_the_image_come_to_an_esp_that_is_otherwise_the_nodes(node: UpdatedNode) -> None:
    """Red Hat's shim and GRUB lie nowhere but on the ESP. They follow the image, also to an ESP that never had them;
    what else is there is the node's, and `--full` does no less."""
    names = ("shimx64.efi", "grubx64.efi")
    loaders = [f"/boot/efi/EFI/redhat/{name}" for name in names]
    lay(
        node.image,
        {**dict.fromkeys(loaders, NEW), "boot/efi/EFI/redhat/grub.cfg": "golden", "boot/efi/EFI/BOOT/x": "x"},
    )
    lay(node.root, {"boot/efi/EFI/other/a.efi": "another system's"})
    said = {"protect": [{"pattern": "/boot/efi/", "reason": "the node's own boot loader"}], "loaders": loaders}
    for full in (False, True):
        node.update(full=full, **said)
        esp = node.root / "boot/efi/EFI"
        assert {str(path.relative_to(esp)) for path in esp.rglob("*.*")} == {
            "other/a.efi", *(f"redhat/{name}" for name in names),
        }  # fmt: skip
        (esp / "redhat/grubx64.efi").write_bytes(OLD)
    node.update(**said)
    assert (esp / "redhat/grubx64.efi").read_bytes() == NEW


# 30

TIMES = 100


def after(machine: Inventory, plan: InstallPlan, system: System) -> Inventory:
    """What the agent finds on the disk that this plan has made."""
    (table,) = steps_of(plan, MakeTable)
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
            if table.name != "events"  # history, kept up to a limit of its own
        }


@needs("ssh-keygen", root=True)
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
        carry_out(every_step(answer.plan), root, programs=())
        vault.restore(server.identity(NODE.name), root)
        run("ssh-keygen", "-A", "-f", str(root))
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
