"""The agent as nodes have it: one file, run by the Python of Debian 11, 12 and 13, against real answers and rsync."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from imaged.model.errors import ImagedError
from imaged.model.outcome import Drift, Outcome, Owner, Updated
from imaged.model.plan import WriteFile
from imaged.model.update import Guard, Protected, Triggered, UpdatePlan
from imaged.process import run
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache, TreeRecipe
from imaged.store.manifest import format_manifest
from imaged.store.nodeagent import node_agent
from imaged.store.seal import read_tree
from tests.node.rsync_service import rsync_service
from tests.node.serve_api import SECRET, Api, serving
from tests.node.test_update import furnish

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts and enters other systems"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap"),
]
OLDEST = "python3.6"  # as RHEL 8 has it; where it is installed
PYTHONS = {"bullseye": (3, 9), "bookworm": (3, 11), "trixie": (3, 13)}
# What cron gives 3.6: an ASCII locale, which later Pythons (PEP 538, PEP 540) would take for UTF-8. Names are bytes and
# what people write is not ASCII: nothing may depend on it.
AS_CRON = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONDONTWRITEBYTECODE": "1"}
# In a mount namespace of its own: nothing stays mounted, however the test ends.
ENTER = """
mount --bind "$2" "$1/mnt"; mount --rbind /dev "$1/dev"; mount -t proc proc "$1/proc"
system=$1; shift 2; exec chroot "$system" "$@"
"""
STAY = """
mount --bind "$1" /mnt; shift; exec "$@"
"""


class System(NamedTuple):
    """How to run a Python where a directory is at /mnt: a shell script, what it is given first, the interpreter."""

    script: str
    first: tuple[Path, ...]
    python: str


@pytest.fixture(scope="module", params=[OLDEST, *PYTHONS])
def system(request: pytest.FixtureRequest) -> System:
    return oldest() if request.param == OLDEST else debian(request.param, PYTHONS[request.param])


def oldest() -> System:
    """This system, with an interpreter that somebody put beside its own."""
    try:
        asked = run((OLDEST, "-c", "import sys; print(sys.executable)"))  # what is found may be a script that chooses
    except ImagedError as error:
        pytest.skip(f"no {OLDEST} is installed: {error}")
    return System(STAY, (), asked.output.strip())


def debian(suite: str, version: tuple[int, int]) -> System:
    """A system with that release's python3 and rsync and little else."""
    recipe = TreeRecipe("node-python", ("base-files", "python3", "rsync"), suite=suite)

    def make_room(path: Path) -> None:
        for name in ("mnt", "dev", "proc", "tmp"):
            (path / name).mkdir(exist_ok=True)

    cache = Cache(Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE))
    try:
        with cache.hold(lambda _: None):
            path = cache.tree(recipe, lambda _: None, finish=make_room)
    except ImagedError as error:
        pytest.skip(f"no {suite} to be had: {error}")
    asked = run(("chroot", str(path), "python3", "-c", "import sys; print(*sys.version_info[:2])"))
    assert tuple(map(int, asked.output.split())) == version
    return System(ENTER, (path,), "/usr/bin/python3")


class Node:
    """The agent in ``system``, on the tree ``node`` below ``base``, which is at /mnt there."""

    def __init__(self, base: Path, system: System, api: Api) -> None:
        self.image, self.tree, self._base, self._system = base / "tree", base / "node", base, system
        self.api = api
        (base / "imaged.pyz").write_bytes(node_agent())
        home = self.tree / "var/lib/imaged"
        home.mkdir(parents=True)
        (home / "secret").write_text(f"{SECRET}\n")
        (home / "server").write_text(f"{api.url}\n")

    def call(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output, errors. See AS_CRON."""
        script, first, python = self._system
        command = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "-")
        done = subprocess.run(
            (*command, *first, self._base, python, "/mnt/imaged.pyz", *arguments),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **AS_CRON},
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300,
        )  # fmt: skip
        errors = done.stderr.decode("utf-8", "backslashreplace")
        assert "Traceback" not in errors and "Warning" not in errors, errors
        return done.returncode, done.stdout.decode("utf-8"), errors

    def on_tree(self, verb: str, *arguments: str) -> tuple[int, str, str]:
        return self.call(verb, "--root", "/mnt/node", *arguments)

    def publish(self, number: int, rsync_port: int) -> None:
        """Seal the image as it is now and offer it."""
        text = "".join(format_manifest(read_tree(self.image).entries)).encode("ascii")
        path = f"/v1/manifest/c/{number}"
        self.api.manifests[path] = text
        self.api.plan = UpdatePlan(
            node="n1", image=f"c@{number}", serial=f"serial-{number}", manifest=path,
            manifest_sha256=hashlib.sha256(text).hexdigest(), entries=text.count(b"\n") - 2, bytes=1,
            rsync_port=rsync_port, guard=Guard(100),
            protect=(Protected("/srv/", "people's files"), Protected("/etc/b[z-a]d", "a mistake of somebody's")),
            fixups=(Triggered(WriteFile("/etc/grüße", "grüße\n", mode="0600")),),
        )  # fmt: skip

    def differing(self) -> set[str]:
        """Paths that the server's own walk finds unlike the image, but for those that are the node's own."""
        here, there = ({each.path: each for each in read_tree(tree).entries} for tree in (self.tree, self.image))
        mine = ("var/lib/imaged", "var/log/imaged.log", "etc/grüße", "srv")
        names = {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}
        return {name for name in names if not any(name == each or name.startswith(each + "/") for each in mine)}


@pytest.fixture
def node(system: System, tmp_path: Path) -> Iterator[Node]:
    api = Api()
    with serving(api):
        yield Node(tmp_path, system, api)


def test_a_node_from_its_first_update_to_drift(node: Node, tmp_path: Path) -> None:
    furnish(node.image)
    (node.tree / "srv").mkdir()
    (node.tree / "srv/precious").write_text("people's")
    (node.tree / "stray").write_text("nobody's")
    with rsync_service(tmp_path) as port:
        node.publish(1, port)
        before = sorted(node.tree.rglob("*"))
        code, output, _ = node.on_tree("updateclient", "--dry-run")
        assert (code, "delete (1)" in output, "/usr/bin/tool" in output) == (0, True, True)
        assert [p for p in sorted(node.tree.rglob("*")) if p not in before and "var/lib/imaged" not in str(p)
                and p.name not in ("log", "imaged.log")] == []  # fmt: skip
        assert not any(isinstance(each, Updated) for each in node.api.told)

        assert node.on_tree("updateclient")[0] == 0
        assert node.differing() <= {".", "var", "var/lib", "etc"}, "directories whose names the node adds to"
        assert (node.tree / "etc/grüße").read_text(encoding="utf-8") == "grüße\n"
        assert not (node.tree / "stray").exists() and (node.tree / "srv/precious").exists()
        ends = [each for each in node.api.told if isinstance(each, Updated)]
        assert [(each.image, each.outcome, each.deleted) for each in ends] == [("c@1", Outcome.DONE, 1)]
        assert node.on_tree("verify")[0] == 0

        node.api.asked.clear()
        assert node.on_tree("updateclient") == (0, "in step with c@1\n", "")
        assert node.api.asked == ["/v1/update?serial=serial-1"], "one small question"

        (node.image / "usr/bin/tool").write_text("a new version")
        (node.image / "usr/lib/fresh").mkdir()
        (node.image / "usr/lib/fresh/file").write_text("fresh")
        shutil.rmtree(node.image / "etc/d")
        node.publish(2, port)
        code, output, _ = node.on_tree("updateclient", "--json")
        assert (code, json.loads(output)["image"]) == (0, "c@2")
        assert any("?from=" in each for each in node.api.asked)
        assert node.differing() <= {".", "var", "var/lib", "etc"}

        (node.tree / "usr/bin/tool").write_text("by hand")
        Path(os.fsdecode(os.fsencode(node.tree) + b"/usr/\xff\n")).write_text("odd")
        code, output, _ = node.on_tree("verify", "--json", "--report")
        found = {each["path"]: (each["owner"], each["what"]) for each in json.loads(output)["differences"]}
        assert (code, found["/usr/\\xff\n"]) == (4, ("local", "extra"))
        assert found["/usr/bin/tool"][0] == "image" and "size" in found["/usr/bin/tool"][1]
        drifts = [each for each in node.api.told if isinstance(each, Drift)]
        assert [each.count for each in drifts] == [len(found)]
        assert {each.owner for each in drifts[0].differences} == {Owner.IMAGE, Owner.LOCAL}
        assert node.on_tree("updateclient")[0] == 0
        assert node.on_tree("verify")[:2] == (0, "in step with c@2\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--help",), 0, ""),
        ((), 2, "which verb?"),
        (("updateclient", "--to", "x"), 2, "'x' is no version number"),
        (("updateclient", "--directory", "etc"), 2, "is not an absolute path"),
        (("verify", "--root", "/nowhere"), 2, "is no directory"),
        (("verify", "--root", "/mnt/node"), 1, "there is nothing to compare with yet"),
        (("updateclient", "--root", "/mnt/node"), 1, "there is no such thing"),
    ],
)
def test_what_it_says_when_it_cannot(node: Node, arguments: tuple[str, ...], code: int, said: str) -> None:
    ended, _, errors = node.call(*arguments)
    assert (ended, said in errors) == (code, True), errors
