"""Overrides of a node as trees: who wins, what is kept of a file, templates, secrets, what is made again."""

import os
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import BadInput, ImagedError
from imaged.model.image import ImageFacts, Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.override import Wanted
from imaged.store.manifest import parse_manifest
from imaged.store.overrides import Overrides
from imaged.store.paths import State

NODE = Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef("compute"), address=IPv4Address("10.0.0.7"))
VERSION = Version("compute", 3, "2026-11-21T00:00:00Z", "test", 1, 1, "0" * 64, ImageFacts("x86_64"))
WANTED = Wanted(NODE, VERSION, ("lab", "gpu"), "http://10.0.0.1:8080", "example.org")
ROOT = os.geteuid() == 0
pytestmark = pytest.mark.skipif(not ROOT, reason="owners are given to files")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A state directory with an image, and what is rendered from it."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.busy: set[str] = set()
        self.state = State(root / "state")
        self.image = root / "image"
        for directory in ("etc", "usr/lib", "tmp"):
            (self.image / directory).mkdir(parents=True)
        (self.image / "tmp").chmod(0o1777)
        (self.image / "lib").symlink_to("usr/lib")
        os.utime(self.image / "etc", ns=(0, 5_000_000_007))
        self.overrides = Overrides(self.state, in_use=self.busy.__contains__, clock=self.clock)

    def write(self, path: str, content: str | bytes = "", mode: int = 0o644) -> Path:
        at = self.state.root / "overrides" / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content.encode() if isinstance(content, str) else content)
        at.chmod(mode)
        return at

    def render(self, wanted: Wanted = WANTED) -> Path:
        self.clock.now += 100
        return self.overrides.render(wanted, self.image).tree


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_last_layer_wins_and_every_layer_is_there(site: Site) -> None:
    order = ("all", "image/compute", "group/lab", "group/gpu", "node/n1")
    for at, layer in enumerate(order):
        for name in order[: at + 1]:
            site.write(f"{layer}/etc/{name.replace('/', '-')}", layer)
    for stranger in ("node/n2", "group/other", "image/login"):
        site.write(f"{stranger}/etc/secret", "x")
    etc = site.render() / "etc"
    assert {path.name: path.read_text() for path in etc.iterdir()} == {
        name.replace("/", "-"): order[-1] for name in order
    }


def test_a_node_without_overrides_still_gets_what_is_ours(site: Site) -> None:
    tree = site.render()
    assert (tree / "usr/lib/systemd/system/imaged-update.timer").read_text().count("OnCalendar") == 1
    assert (tree / "usr/share/imaged/cron.d-example").is_file()
    assert (tree / "usr/sbin/imaged").readlink() == Path("/usr/lib/imaged/imaged.pyz")
    agent = tree / "usr/lib/imaged/imaged.pyz"
    assert agent.stat().st_mode & 0o777 == 0o755
    assert "updateclient" in subprocess.run((agent, "--help"), capture_output=True, text=True, check=True).stdout


def test_everything_about_a_file_is_kept(site: Site) -> None:
    file = site.write("all/etc/na\nme \udcff", "x" * 5000, 0o4750)
    os.chown(file, 12, 34)
    file.chmod(0o4750)
    os.setxattr(file, "user.origin", b"me")
    subprocess.run(("setfacl", "-m", "u:77:r", str(file)), check=True)
    os.utime(file, ns=(1, 1_234_567_890_123_456_789))
    (file.parent / "twin").hardlink_to(file)
    (file.parent / "away").symlink_to("/etc/passwd")
    os.chown(file.parent / "away", 5, 6, follow_symlinks=False)
    got = site.render() / "etc/na\nme \udcff"
    want, have = file.lstat(), got.lstat()
    for key in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_size", "st_nlink"):
        assert getattr(have, key) == getattr(want, key), key
    names = sorted(os.listxattr(file))
    assert sorted(os.listxattr(got)) == names and len(names) == 2
    assert all(os.getxattr(file, name) == os.getxattr(got, name) for name in names)
    assert (got.parent / "twin").samefile(got)
    assert ((got.parent / "away").readlink(), (got.parent / "away").lstat().st_uid) == (Path("/etc/passwd"), 5)
    file.write_text("the source is changed in place")
    assert got.read_text() == "x" * 5000


def test_directories_of_the_image_stay_as_the_image_has_them(site: Site) -> None:
    for path in ("all/tmp/x", "all/etc/x", "all/opt/tool/x"):
        site.write(path).parent.chmod(0o700)
    tree = site.render()
    assert (tree / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (tree / "etc").stat().st_mtime_ns == 5_000_000_007
    assert (tree / "opt/tool").stat().st_mode & 0o7777 == 0o700


def test_a_directory_never_takes_the_place_of_a_link_of_the_image(site: Site) -> None:
    site.write("all/lib/firmware/blob", "a")
    site.write("node/n1/usr/lib/firmware/blob", "b")
    tree = site.render()
    assert not (tree / "lib").exists()
    assert (tree / "usr/lib/firmware/blob").read_text() == "b"


def test_templates_know_the_node(site: Site) -> None:
    names = ("node", "image", "version", "groups", "address", "domain", "server", "macs", "console")
    template = site.write("all/etc/facts.j2", "|".join(f"{{{{ {name} }}}}" for name in names) + "\n", 0o600)
    os.chown(template, 3, 4)
    os.utime(template, ns=(0, 77))
    got = site.render() / "etc/facts"
    assert got.read_text() == (
        "n1|compute|3|['lab', 'gpu']|10.0.0.7|example.org|http://10.0.0.1:8080|['52:54:00:00:00:01']|\n"
    )
    status = got.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_mtime_ns) == (0o600, 3, 4, 77)


BAD_TEMPLATES = [
    (b"one\n{{ nothing }}\n", "'nothing' is undefined", "line 2"),
    (b"one\n\n{% if %}\n", "", "line 3"),
    (b"\n{{ 1 / 0 }}", "division by zero", "line 2"),
    (b"\n\n\n{{ groups.x.y }}", "has no attribute", "line 4"),
    (b"a\n\xff\n", "not UTF-8", "line 2"),
    (b"{% include 'x' %}", "", "facts.j2"),
    (b"\n{{ undefined_call() }}", "undefined", "line 2"),
]


@pytest.mark.parametrize(("content", "what", "where"), BAD_TEMPLATES)
def test_a_bad_template_names_template_line_node_and_layer(site: Site, content: bytes, what: str, where: str) -> None:
    site.write("group/gpu/etc/facts.j2", content)
    with pytest.raises(BadInput) as raised:
        site.render()
    assert what in raised.value.what
    for part in ("overrides/group/gpu/etc/facts.j2", "n1", where):
        assert part in raised.value.where
    assert not [path for path in (site.state.run / "overrides/n1").iterdir() if path.name != ".lock"]


def test_what_cannot_be_an_override_is_named(site: Site) -> None:
    def device(at: Path) -> None:
        os.mknod(at, 0o020600, os.makedev(1, 3))

    makers = {"a character device": device, "a named pipe": os.mkfifo}
    for said, make in makers.items():
        at = site.write("all/dev/keep").parent / "odd\nname"
        make(at)
        with pytest.raises(BadInput) as raised:
            site.render()
        assert said in raised.value.what
        assert raised.value.where == "overrides/all/dev/odd\\x0aname"
        at.unlink()
    (site.state.root / "overrides/all/dev/x").write_text("1")
    (site.state.root / "overrides/all/dev/x.j2").write_text("2")
    with pytest.raises(BadInput, match="both"):
        site.render()


def test_a_rendering_is_used_again_until_something_changes(site: Site) -> None:
    file = site.write("all/etc/motd", "one")
    first = site.render()
    inode = first.stat().st_ino
    assert site.render() == first and first.stat().st_ino == inode
    assert Overrides(site.state).render(WANTED, site.image).tree == first
    file.write_text("two")
    second = site.render()
    assert second != first and not first.exists()
    assert site.overrides.current("n1") == second
    assert site.render(evolve(WANTED, version=evolve(VERSION, number=4))) == second
    assert site.overrides.current("n2") is None
    site.overrides.forget("n1")
    assert not second.exists() and site.overrides.current("n1") is None


def test_what_a_transfer_may_be_reading_is_kept(site: Site) -> None:
    file = site.write("all/etc/motd", "one")
    first = site.render()
    site.busy.add("n1")
    file.write_text("two")
    second = site.render()
    assert first.exists() and second.exists()
    site.busy.clear()
    file.write_text("three")
    site.render()
    assert not first.exists() and not second.exists()


CHANGES = ("all/etc/motd", "node/n1/new", "group/gpu.protect", "image/compute/x/y/z")


@pytest.mark.parametrize("path", CHANGES)
def test_the_generation_moves_with_every_change_and_only_then(site: Site, path: str) -> None:
    site.write("all/etc/motd", "one")

    def generation() -> str:
        site.clock.now += 100
        return site.overrides.generations.of("n1", "compute", ("lab", "gpu"))

    before = generation()
    assert generation() == before
    site.write("node/n2/etc/motd", "somebody else's")
    assert generation() == before
    at = site.write(path, "two")
    after = generation()
    assert after != before
    times = at.stat()
    at.write_text("2wo")  # same size, time put back: ctime tells
    os.utime(at, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert generation() != after


def test_the_generation_looks_once_a_second_at_most(site: Site) -> None:
    file = site.write("all/etc/motd", "one")
    before = site.overrides.generations.of("n1", "compute", ())
    file.write_text("two")
    site.clock.now += 0.5
    assert site.overrides.generations.of("n1", "compute", ()) == before
    site.clock.now += 0.6
    assert site.overrides.generations.of("n1", "compute", ()) != before


def test_only_root_may_look_where_secrets_are(site: Site) -> None:
    site.write("node/n1/etc/key", "secret", 0o600)
    tree = site.render()
    for directory in (tree.parents[1], tree.parents[2]):
        assert directory.stat().st_mode & 0o7777 == 0o700
    entries = {entry.path: entry for entry in parse_manifest((tree.parent / "manifest.mtree").read_text())}
    assert entries["etc/key"].mode == 0o600


def test_a_state_directory_that_cannot_be_written_is_said(site: Site) -> None:
    site.state.run.parent.mkdir(parents=True)
    site.state.run.write_text("in the way")
    with pytest.raises(ImagedError, match="overrides cannot be kept"):
        site.render()


def test_variables_in_templates(site: Site) -> None:
    site.write("all/etc/rack.j2", "{{ node }} {{ var.row }}{% for name in var | sort %} {{ name }}{% endfor %}")
    wanted = evolve(WANTED, node=evolve(NODE, variables={"row": "7", "rack": "a"}))
    assert (site.render(wanted) / "etc/rack").read_text() == "n1 7 rack row"
    changed = evolve(WANTED, node=evolve(NODE, variables={"row": "8"}))
    assert (site.render(changed) / "etc/rack").read_text() == "n1 8 row"
    with pytest.raises(BadInput, match="'row'") as caught:
        site.render(evolve(WANTED, node=evolve(NODE, variables={"rack": "a"})))
    assert "var.rack" in caught.value.hint
