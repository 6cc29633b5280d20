"""Servers that die, hang or lie, networks that are cut and disks that fill up: said in a line, and a rerun finishes."""

import hashlib
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from imaged.model.outcome import Outcome, Updated
from imaged.model.plan import WriteFile
from imaged.model.update import Guard, Triggered, UpdatePlan
from imaged.store.manifest import format_manifest
from imaged.store.seal import read_tree
from installer.node import client
from installer.node.client import Wish
from installer.node.errors import DONE, FAILED, NO_SERVER, Failed
from installer.node.update import Options
from tests.node.relay import Relay, relaying
from tests.node.rsync_service import rsync_service
from tests.node.serve_api import SECRET, Api, serving
from tests.node.test_update import age, furnish

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes trees of several owners"),
]
POINTS = 20
OWN = ("var/lib", "var/log", "etc", "etc/seen", ".", "var")


class Node:
    """A node that follows ``base``/tree by a real API and a real rsync service, across ``relay``."""

    def __init__(self, base: Path, api: Api, relay: Relay, port: int) -> None:
        self.image, self.tree, self.api, self.relay, self._port = base / "tree", base / "node", api, relay, port
        self.sleeps: list[float] = []
        self.home = self.tree / "var/lib/imaged"

    def settle(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "secret").write_text(f"{SECRET}\n")
        (self.home / "server").write_text(f"{self.api.url}\n")

    def publish(self, number: int) -> None:
        text = "".join(format_manifest(read_tree(self.image).entries)).encode("ascii")
        path = f"/v1/manifest/c/{number}"
        self.api.manifests[path] = text
        self.api.plan = UpdatePlan(
            node="n1", image=f"c@{number}", serial=f"serial-{number}", manifest=path, guard=Guard(1000),
            manifest_sha256=hashlib.sha256(text).hexdigest(), entries=1, bytes=1, rsync_port=self._port,
            fixups=(Triggered(WriteFile("/etc/seen", "x\n")),),
        )  # fmt: skip

    def update(self, **options: bool) -> tuple[int, str]:
        """Exit code and what is said; time does not pass while it waits for the server."""
        wish = Wish(str(self.tree), Options(**options), sleep=self.sleeps.append, silence=1.0)
        try:
            return client.updateclient(wish), self._last_said()
        except Failed as error:
            return error.code, str(error)

    def _last_said(self) -> str:
        ends = [each for each in self.api.told if isinstance(each, Updated)]
        return ends[-1].message if ends else ""

    def state(self) -> dict[str, object]:
        found = {each.path: each for each in read_tree(self.tree).entries}
        return {path: each for path, each in found.items() if not path.startswith(("var/lib/imaged", "var/log"))}

    def differing(self) -> set[str]:
        here, there = self.state(), {each.path: each for each in read_tree(self.image).entries}
        return {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)} - set(OWN)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """At version 1, with version 2 published: files to add, change and delete, one of them large."""
    api = Api()
    with serving(api), rsync_service(tmp_path) as port, relaying(port) as (relay, seen):
        node = Node(tmp_path, api, relay, seen)
        furnish(node.image)
        node.settle()
        node.publish(1)
        assert node.update()[0] == DONE
        noise = random.Random(1)
        (node.image / "usr/lib/large").write_bytes(noise.randbytes(300_000))
        for number in range(20):
            (node.image / f"usr/lib/new{number}").write_bytes(noise.randbytes(3000))
        (node.image / "usr/bin/suid").write_text("another")
        shutil.rmtree(node.image / "etc/d")
        age(node.image)
        node.publish(2)
        yield node


def test_nothing_goes_wrong(node: Node) -> None:
    node.relay.passed = 0
    assert node.update() == (DONE, "")
    assert node.differing() == set() and node.sleeps == []
    assert 360_000 < node.relay.passed < 500_000, "POINTS are spread over so many bytes"


@pytest.mark.parametrize("number", range(POINTS))
def test_rsync_cut_anywhere_goes_on_by_itself(node: Node, number: int) -> None:
    node.relay.cut_at = node.relay.passed + random.Random(number).randint(1 + 18_000 * number, 18_000 * (number + 1))
    assert node.update() == (DONE, "")
    assert node.sleeps, "it waited and tried again"
    assert node.differing() == set() and not (node.tree / ".imaged").exists()


@pytest.mark.parametrize("number", range(0, POINTS, 4))
def test_rsync_that_stays_away_is_said_and_a_rerun_finishes(node: Node, number: int) -> None:
    before = node.state()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    there = node.relay.port

    def die() -> bool:
        node.relay.port = nobody
        return False

    node.relay.cut_at, node.relay.on_cut = node.relay.passed + 1 + 18_000 * number, die
    code, said = node.update()
    assert (code, "rsync" in said) == (NO_SERVER, True), said
    assert {path for path in before if before[path] != node.state().get(path)} <= {"."}, "the tree is as it was"
    node.relay.port = there
    assert node.update() == (DONE, "")
    assert node.differing() == set() and not (node.tree / ".imaged").exists()


def test_rsync_that_hangs(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets us in and says nothing more."""
    silent = socket.create_server(("127.0.0.1", 0))
    node.relay.port, there = silent.getsockname()[1], node.relay.port
    real = client.rsync_of
    monkeypatch.setattr(client, "rsync_of", lambda *words: real(*words)._replace(silence=1))

    with silent:

        def greet() -> None:
            held = []
            try:
                while True:
                    held.append(silent.accept()[0])
                    held[-1].recv(4096)
                    held[-1].sendall(b"HTTP/1.0 200 go on\r\n\r\n@RSYNCD: 31.0 md5\n")
            except OSError:
                for each in held:
                    each.close()

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        code, said = node.update()
        silent.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (code, "rsync ended with 30" in said) == (NO_SERVER, True), said
    node.relay.port = there
    assert node.update() == (DONE, "")


QUESTION, MANIFEST, END = "/v1/update?", "/v1/manifest/", "/v1/updated"


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ([(QUESTION, "drop")], DONE),
        ([(QUESTION, "half"), (QUESTION, "long"), (QUESTION, "503")], DONE),
        ([(QUESTION, "hang")], DONE),
        ([(QUESTION, "503")] * 5, NO_SERVER),
        ([(QUESTION, "drop")] * 5, NO_SERVER),
        ([(QUESTION, "half")] * 5, NO_SERVER),
        ([(QUESTION, "short")], NO_SERVER),
        ([(QUESTION, "garbage")], NO_SERVER),
        ([(QUESTION, "403")], FAILED),
        ([(MANIFEST, "drop")], DONE),
        ([(MANIFEST, "hang")], DONE),
        ([(MANIFEST, "long")], DONE),
        ([(MANIFEST, "404")], FAILED),
        ([(MANIFEST, "half")], DONE),  # of the difference: the whole one is asked for
        ([(MANIFEST, "half")] * 2, NO_SERVER),
        ([(MANIFEST, "short")], DONE),
        ([(MANIFEST, "short")] * 2, NO_SERVER),
        ([(MANIFEST, "garbage")], DONE),
        ([(MANIFEST, "garbage")] * 2, NO_SERVER),
        ([(END, "drop"), (END, "drop"), (END, "500")], DONE),
        ([(END, "drop")] * 5, NO_SERVER),
    ],
)
def test_an_api_that_fails(node: Node, faults: list[tuple[str, str]], code: int) -> None:
    before = node.state()
    node.api.faults = list(faults)
    ended, said = node.update()
    assert (ended, node.api.faults) == (code, []), said
    if code != DONE:
        assert said and "\n\n" not in said and len(said) < 300
        if faults[0][0] != END:
            assert node.state() == before
    assert node.update()[0] == DONE
    assert node.differing() == set()
    assert (node.home / "serial").read_text() == "serial-2\n"
    told = [each for each in node.api.told if isinstance(each, Updated)][-1]
    assert (told.image, told.outcome) == ("c@2", Outcome.DONE)


def test_a_difference_that_does_not_fit_is_not_the_end(node: Node) -> None:
    old = (node.home / "manifest").read_bytes()
    (node.home / "manifest").write_bytes(old[: len(old) // 2])  # its sha256 stands beside it
    assert node.update() == (DONE, "")
    assert [each.split("?")[1:] != [] for each in node.api.asked if each.startswith(MANIFEST)] == [False, True, False]
    assert node.differing() == set()


def test_a_damaged_stored_file_never_reaches_the_tree(node: Node) -> None:
    before = node.state()
    for name in ("usr/bin/suid", "usr/lib/large"):
        stored = node.image / name
        content = bytearray(stored.read_bytes())
        content[len(content) // 2] ^= 1
        stored.write_bytes(content)
    age(node.image)
    code, said = node.update()
    assert code == FAILED and "the stored file is damaged" in said and "/usr/bin/suid, /usr/lib/large" in said
    assert {path for path in before if before[path] != node.state().get(path)} <= {"."}
    for name in ("usr/bin/suid", "usr/lib/large"):
        stored = node.image / name
        content = bytearray(stored.read_bytes())
        content[len(content) // 2] ^= 1
        stored.write_bytes(content)
    age(node.image)
    assert node.update() == (DONE, "")
    assert node.differing() == set()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The node's tree on a filesystem of its own, gone again however the test ends."""
    at = tmp_path / "node"
    at.mkdir()
    if subprocess.run(("mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(at)), check=False).returncode:
        pytest.skip("cannot mount here")
    yield at
    subprocess.run(("umount", "--lazy", str(at)), check=True)


@pytest.mark.parametrize("number", range(0, POINTS, 5))
def test_a_disk_that_somebody_fills_meanwhile(small: Path, node: Node, number: int) -> None:
    before, hog = node.state(), node.home / "hog"

    def fill() -> bool:
        with hog.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        return True

    node.relay.cut_at, node.relay.on_cut = node.relay.passed + 1 + 18_000 * number, fill
    code, said = node.update()
    assert (code, "the disk is full" in said or "No space left" in said) == (FAILED, True), said
    hog.unlink()
    assert {path for path in before if before[path] != node.state().get(path)} <= {"."}
    assert not (small / ".imaged").exists(), "what has come is given back, or it would be what fills the disk"
    assert node.update() == (DONE, "")
    assert node.differing() == set()


def test_no_inode_is_left_at_any_point(small: Path, node: Node) -> None:
    """Each run gets one further than the one before; whatever it ends in, files are wholly old or wholly new."""

    def limit(inodes: int) -> None:
        subprocess.run(("mount", "-o", f"remount,nr_inodes={inodes}", str(small)), check=True)

    used = os.statvfs(small)
    taken = used.f_files - used.f_ffree
    said = set()
    for spare in range(1, 60):
        limit(taken + spare)
        code, words = node.update()
        said.add(words)
        suid = (small / "usr/bin/suid").read_text()
        assert suid in ("s", "another") and code in (DONE, FAILED)
        if code == DONE:
            break
        assert "the disk is full" in words or "No space left" in words, words
    assert code == DONE and len(said) > 1
    assert node.differing() == set() and not (small / ".imaged").exists()
