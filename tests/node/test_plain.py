"""Updates without the agent: the server's script, run by real shells, against the real rsync service."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.plan import CheckFile, CopyFile, MakeLink, MoveFile, RunInTarget, WriteFile
from imaged.model.uefi import InstallGrub, MirrorEsp
from imaged.model.update import Guard, Protected, Script, Triggered, UpdatePlan
from imaged.planning import plain
from imaged.planning.answers import UpdateAnswer
from imaged.planning.plain import Plain
from imaged.store.seal import read_tree
from tests.node.rsync_service import rsync_service
from tests.node.test_update import age, furnish

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes trees of several owners, and enters them"),
    pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox"),
]
SHELLS = {"dash": ("dash",), "busybox": ("busybox", "sh")}


class Node:
    """A tree ``node`` below ``base`` that follows ``tree``, through the rsync service at ``port``."""

    def __init__(self, base: Path, shell: tuple[str, ...], port: int) -> None:
        self.image, self.tree, self._shell = base / "tree", base / "node", shell
        self.overrides = base / "overrides"
        self.mounts: Path | None = None
        self.plan = UpdatePlan(
            node="n1", image="c@1", serial="s", manifest="", manifest_sha256="", entries=1, bytes=1, rsync_port=port,
            protect=(Protected("/srv/", "people's files"),), merge=("/etc/passwd",), guard=Guard(3, "debian"),
            fixups=(
                Triggered(WriteFile("/etc/grüße", "it's $HOME\n", "0600")),
                Triggered(MakeLink("/etc/a link", "grüße")),
                Triggered(CheckFile("/etc/grüße", "0600", "it's")),
            ),
            bootloader=(Triggered(RunInTarget(("sh", "-c", "echo menu >>/boot/ran")), ("/boot/vmlinu[xz]-*",)),),
            scripts=(Script("10all.x", '#!/bin/sh\necho "$IMAGED_NODE" >/etc/scripted\n'),),
            variables={"IMAGED_NODE": "n 1"},
        )  # fmt: skip

    def run(
        self, *, before: tuple[str, ...] = (), laid: tuple[str, ...] = (), plan: UpdatePlan | None = None, **how: bool
    ) -> tuple[int, str, str]:
        text = plain.script(plan or self.plan, laid, Plain("127.0.0.1", root=str(self.tree), **how))
        if self.mounts:
            text = text.replace("/proc/mounts", str(self.mounts))
        done = subprocess.run(
            (*before, *self._shell, "-s"), input=text.encode(), capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def update(self, **how: bool) -> UpdateAnswer:
        code, output, errors = self.run(**how)
        assert code == 0, errors
        return plain.read(output, "c@1")

    def differing(self) -> set[str]:
        here, there = ({each.path: each for each in read_tree(tree).entries} for tree in (self.tree, self.image))
        return {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}


@pytest.fixture(params=SHELLS.values(), ids=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    with rsync_service(tmp_path) as port:
        node = Node(tmp_path, request.param, port)
        furnish(node.image)
        busybox = Path(shutil.which("busybox") or "")
        found = subprocess.run(("ldd", busybox), capture_output=True, text=True, check=True).stdout.split()
        for path in (busybox, *(Path(word) for word in found if word.startswith("/"))):
            to = node.image / "usr" / path.relative_to("/").as_posix().removeprefix("usr/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.resolve(), to)
        (node.image / "lib64").symlink_to("usr/lib64")
        (node.image / "bin").symlink_to("usr/bin")
        (node.image / "usr/bin").mkdir(exist_ok=True)
        for name in ("sh", "env"):
            (node.image / "usr/bin" / name).symlink_to("busybox")
        (node.image / "etc/os-release").write_text("ID=debian\n")
        (node.image / "etc/passwd").write_text("root:x:0:0:::\nnew:x:5:5:::\n")
        age(node.image)
        home = node.tree / "var/lib/imaged"
        home.mkdir(parents=True)
        (home / "secret").write_text("s\n")
        (home / "serial").write_text("old\n")
        yield node


OWN = {"etc/grüße", "etc/a link", "etc/scripted", "etc", "boot", "boot/ran", "var/lib", "etc/passwd"}


def mine(path: str) -> bool:
    return path in OWN or path.startswith(("var/lib/imaged", "srv"))


def test_a_node_without_the_agent_comes_into_step(node: Node) -> None:
    (node.tree / "srv").mkdir()
    (node.tree / "srv/precious").write_text("x")
    (node.tree / "etc").mkdir()
    (node.tree / "etc/passwd").write_text("root:x:0:0:::\n")
    (node.tree / "stray").write_text("x")

    looked = node.update(dry_run=True)
    assert (looked.deleted, (node.tree / "stray").exists(), (node.tree / "usr").exists()) == (1, True, False)
    assert {("add", "/usr/bin/tool"), ("delete", "/stray")} <= {(each.action, each.path) for each in looked.changes}

    answer = node.update()
    assert (answer.added, answer.deleted, answer.reboot) == (looked.added, 1, True)
    assert {path for path in node.differing() if not mine(path)} == set()
    assert (node.tree / "srv/precious").exists() and (node.tree / "etc/passwd").read_text() == "root:x:0:0:::\n"
    assert (node.tree / "etc/grüße").read_text() == "it's $HOME\n" and (node.tree / "etc/a link").is_symlink()
    assert (node.tree / "boot/ran").read_text() == "menu\n" and (node.tree / "etc/scripted").read_text() == "n 1\n"
    assert [path.name for path in sorted((node.tree / "var/lib/imaged").iterdir())] == ["lock", "secret"]

    protected = evolve(node.plan, protect=(*node.plan.protect, Protected("/boot/ran", ""), Protected("/etc/scr*", "")))
    (node.tree / "usr/bin/suid").write_text("by hand")
    looked = plain.read(node.run(plan=protected, dry_run=True)[1], "c@1")
    code, output, errors = node.run(plan=protected)
    assert code == 0, errors
    again = plain.read(output, "c@1")
    assert {each.path for each in looked.changes if not each.path.endswith("/")} == {"/usr/bin/suid"}
    assert (again.reboot, (node.tree / "boot/ran").read_text()) == (False, "menu\n"), "no kernel: no boot loader"
    assert {path for path in node.differing() if not mine(path)} == set()


def test_overrides_win_and_their_directories_say_nothing(node: Node) -> None:
    (node.overrides / "etc/d").mkdir(parents=True)
    (node.overrides / "etc/d").chmod(0o700)
    (node.overrides / "etc/d/new\nline").write_text("laid")
    (node.overrides / "usr/bin").mkdir(parents=True)
    (node.overrides / "usr/bin/suid").write_text("laid")
    code, _, errors = node.run(laid=("etc/d/new\nline", "usr/bin/suid"))
    assert code == 0, errors
    assert (node.tree / "usr/bin/suid").read_text() == (node.tree / "etc/d/new\nline").read_text() == "laid"
    assert (node.tree / "etc/d").stat().st_mode == (node.image / "etc/d").stat().st_mode


def test_what_stops_it(node: Node) -> None:
    node.update()
    for number in range(5):
        (node.tree / f"stray{number}").write_text("x")
    protected = evolve(node.plan, protect=(*node.plan.protect, Protected("/boot/ran", ""), Protected("/etc/scr*", "")))
    code, _, errors = node.run(plan=protected)
    assert (code, "5 paths would be deleted, more than the 3 that go unasked" in errors) == (3, True), errors
    assert (node.tree / "stray0").exists()
    assert node.run(plan=evolve(protected, guard=Guard(9, "suse")))[0] == 3
    assert node.run(delete=False)[0] == 0 and (node.tree / "stray0").exists()
    assert node.run(plan=protected, confirmed=True)[0] == 0 and not (node.tree / "stray0").exists()

    failing = evolve(node.plan, scripts=(Script("10all.bad", "#!/bin/sh\nexit 4\n"),))
    code, output, errors = node.run(plan=failing)
    assert (code, output, "post-update script 10all.bad ended with 4" in errors) == (1, "", True), errors
    lying = evolve(node.plan, fixups=(Triggered(CheckFile("/etc/none")),))
    assert "/etc/none: is missing or empty" in node.run(plan=lying)[2]
    code, _, errors = node.run(plan=evolve(node.plan, node="stranger"))
    assert (code, "rsync ended with" in errors) == (1, True), errors
    (node.tree / "var/lib/imaged/secret").unlink()
    assert "this system was not installed by imaged" in node.run()[2]


@pytest.mark.parametrize("fat", [False, True])
def test_boot_programs_come_though_their_filesystem_is_the_nodes(node: Node, fat: bool) -> None:
    """On FAT without owners, which it refuses. The kernel's own FAT is not needed to see that: a table of mounts is."""
    esp, theirs = (root / "boot/efi/EFI/redhat" for root in (node.tree, node.image))
    for at, text in ((esp, "old"), (theirs, "of the image")):
        at.mkdir(parents=True)
        for name in ("shimx64.efi", "grub.cfg", text[:3]):
            (at / name).write_text(text)
            os.chown(at / name, 12345, 12345)
    (node.tree / "etc").mkdir()
    (node.tree / "etc/fstab").write_text("UUID=A-B /boot/efi vfat umask=0077 0 2\n")
    protect = tuple(Protected(path, "x") for path in ("/boot/efi/", "/etc/fstab"))
    loaders = tuple(f"/boot/efi/EFI/redhat/{name}" for name in ("shimx64.efi", "mmx64.efi"))
    (theirs / "mmx64.efi").write_text("new")
    if fat:
        node.mounts = node.tree.parent / "mounts"
        node.mounts.write_text(f"/dev/x {node.tree}/boot/efi vfat rw 0 0\n")
    code, _, errors = node.run(plan=evolve(node.plan, protect=protect, loaders=loaders))
    assert code == 0, errors
    assert {path.name: path.read_text() for path in esp.iterdir()} == {
        "shimx64.efi": "of the image", "grub.cfg": "old", "old": "old", "mmx64.efi": "new",
    }  # fmt: skip
    assert (esp / "shimx64.efi").stat().st_uid == (0 if fat else 12345)
    assert (node.tree / "usr/bin/tool").exists(), "and everything else as ever"


def test_boot_loaders_are_made_beside_the_old_and_mirrored(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a mount(8) that takes a directory for a device."""
    here, second = node.tree.parent / "bin", node.tree.parent / "second"
    here.mkdir()
    (second / "EFI/BOOT").mkdir(parents=True)
    (second / "EFI/BOOT/old").write_text("x")
    (here / "mount").write_text('#!/bin/sh\n[ "$1 $2" = "-t vfat" ] && exec /bin/mount --bind "$5" "$6"\n')
    (here / "mount").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    (node.image / "boot/efi").mkdir()
    node.update()
    (node.tree / "usr/bin/grub-install").write_text(
        '#!/bin/sh\nset -e; cd "${2#--efi-directory=}"; busybox mkdir -p EFI/BOOT EFI/x\n'
        "echo $1 >EFI/BOOT/BOOTX64.EFI; echo x >EFI/x/a.efi\n"
    )
    (node.tree / "usr/bin/grub-install").chmod(0o755)
    steps = (
        InstallGrub("/boot/efi", ("grub-install", "--target=x86_64-efi")),
        CopyFile("/boot/efi/EFI/x/a.efi", "/boot/efi/EFI/y/b.efi"),
        MoveFile("/boot/efi/EFI/x/a.efi", "/boot/efi/EFI/x/c.efi"),
        MoveFile("/boot/efi/EFI/x/a.efi", "/boot/efi/EFI/x/c.efi"),
        MirrorEsp("/boot/efi", (str(second / "gone"), str(second))),
    )
    protect = tuple(Protected(path, "x") for path in ("/boot/efi/", "/boot/ran", "/etc/scr*", "/usr/bin/grub-install"))
    plan = evolve(node.plan, protect=protect, bootloader=tuple(map(Triggered, steps)))
    code, _, errors = node.run(plan=plan)
    assert code == 0, errors
    made = {"BOOT/BOOTX64.EFI": "--target=x86_64-efi\n", "x/c.efi": "x\n", "y/b.efi": "x\n"}
    for esp in (node.tree / "boot/efi", second):
        assert [path.name for path in esp.iterdir()] == ["EFI"]
        files = (path for path in (esp / "EFI").rglob("*") if path.is_file())
        assert {str(path.relative_to(esp / "EFI")): path.read_text() for path in files} == made
    assert f"/boot/efi has no copy on {second}/gone" in errors


IN_A_NAMESPACE = """
mount -t tmpfs none "$0/opt"; mkdir "$0/opt/[x] y"; echo keep >"$0/opt/stray"
mount -t tmpfs none "$0/opt/[x] y"; echo keep >"$0/opt/[x] y/stray"
"$@"; code=$?; find "$0/opt" >&2; exit $code
"""


def test_what_is_mounted_is_left_alone(node: Node) -> None:
    (node.image / "opt").mkdir()
    (node.image / "opt/of the image").write_text("x")
    (node.tree / "opt").mkdir(0o711)
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", IN_A_NAMESPACE, str(node.tree))
    code, _, errors = node.run(before=before)
    assert code == 0, errors
    found = {line.removeprefix(f"{node.tree}/opt") for line in errors.splitlines() if "/opt" in line}
    assert found == {"", "/[x] y", "/[x] y/stray", "/stray"}
    assert not any((node.tree / "opt").iterdir())
