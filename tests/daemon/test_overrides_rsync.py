"""Overrides through the real rsync service: a node gets its own with everything that is kept, and nobody else's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged.model.plan import SyncOverrides
from imaged.store.manifest import format_manifest
from imaged.store.seal import read_tree
from installer.transfer import Source, argv

RUNNER = Path(__file__).with_name("serve_overrides.py")

pytestmark = pytest.mark.skipif(
    not shutil.which("rsync") or os.geteuid() != 0, reason="needs rsync, and root for the owners of files"
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("state")
    for node in ("n1", "n2"):
        key = state / f"overrides/node/{node}/etc/app/key"
        key.parent.mkdir(parents=True)
        key.write_text(f"secret of {node}")
        key.chmod(0o600)
        os.chown(key, 42, 43)
    motd = state / "overrides/all/etc/motd.j2"
    motd.parent.mkdir(parents=True)
    motd.write_text("this is {{ node }}\n")
    (motd.parent / "na\nme").symlink_to("motd")
    return state


@pytest.fixture(scope="module")
def port(state: Path) -> Iterator[int]:
    root = RUNNER.parents[2]
    with (state / "stderr").open("w") as errors:
        server = subprocess.Popen(
            (sys.executable, str(RUNNER), str(state), "n1", "n2"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, text=True, env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    try:
        yield int(server.stdout.readline() or pytest.fail((state / "stderr").read_text()))
    finally:
        server.stdin.close()
        server.wait(20)
        server.stdout.close()


def pull(port: int, node: str, secret: str, *command: str) -> subprocess.CompletedProcess[str]:
    source = Source("127.0.0.1", port, node, secret)
    return subprocess.run(
        command, env={**os.environ, **source.environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_installer_lays_exactly_what_the_plan_says(port: int, state: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/motd").write_text("of the image\n")
    rendered = (state / "run/overrides/n1/current/tree").resolve()
    old = (rendered / "etc/motd").stat()  # same size and time, other content
    (tmp_path / "etc/motd").write_bytes(b"x" * old.st_size)
    os.utime(tmp_path / "etc/motd", ns=(old.st_mtime_ns, old.st_mtime_ns))
    done = pull(port, "n1", "secret-n1", *argv(SyncOverrides(), tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/motd").read_text() == "this is n1\n"
    assert (tmp_path / "etc/app/key").read_text() == "secret of n1"
    laid = "".join(format_manifest(read_tree(tmp_path).entries))
    assert laid == (rendered.parent / "manifest.mtree").read_text()


def test_a_mount_without_owners_gets_its_part_only(port: int, tmp_path: Path) -> None:
    done = pull(port, "n1", "secret-n1", *argv(SyncOverrides("/etc/app", foreign=True), tmp_path))
    assert done.returncode == 0, done.stderr
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["etc", "etc/app", "etc/app/key"]


STRANGERS = (("n2", "secret-n1"), ("n1", "secret-n2"), ("n1", "guess"), ("", ""), ("n1/../n2", "secret-n1"))


@pytest.mark.parametrize(("node", "secret"), STRANGERS)
def test_who_does_not_prove_itself_gets_nothing(port: int, tmp_path: Path, node: str, secret: str) -> None:
    done = pull(port, node, secret, *argv(SyncOverrides(), tmp_path))
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["overrides/../../n1/current/tree/", "overrides/etc/app/../../../../../n1/", "n1/"])
def test_no_way_leads_from_a_node_to_the_secrets_of_another(port: int, tmp_path: Path, path: str) -> None:
    done = pull(port, "n2", "secret-n2", "rsync", "-a", f"rsync://imaged/{path}", f"{tmp_path}/")
    assert "secret of n1" not in "".join(each.read_text() for each in tmp_path.rglob("key"))
    assert done.returncode != 0 or not (tmp_path / "n1").exists()
