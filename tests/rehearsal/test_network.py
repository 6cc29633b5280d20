"""The real network, made and removed, also after its owner was killed. Needs root."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imaged import process
from imaged.model.errors import CommandFailed
from imaged.rehearsal import namespace
from imaged.rehearsal.namespace import PrivateNetwork
from imaged.rehearsal.scratch import Scratch, reap

pytestmark = pytest.mark.clients


def _refusal() -> str:
    if os.geteuid() != 0:
        return "a network namespace needs root"
    name = f"imaged-probe-{os.getpid()}"
    try:
        process.run(("ip", "netns", "add", name))
    except CommandFailed as error:
        return f"no network namespaces here: {error}"
    process.run(("ip", "netns", "delete", name))
    return ""


@pytest.fixture(autouse=True)
def _possible() -> None:
    if reason := _refusal():
        pytest.skip(reason)


def test_a_network_holds_its_processes_and_takes_them_with_it(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    network = PrivateNetwork(scratch.name)
    try:
        network.create()
        assert network.tap() == "tap0"
        shown = process.run(network.inside(("ip", "-brief", "address", "show", namespace.BRIDGE))).output
        assert f"{namespace.SERVER}/24" in shown
        child = process.start(network.inside(("cat", "/dev/zero")), output=Path(os.devnull))
        while not network.holds(child.pid):
            assert child.poll() is None
        network.remove()
        assert child.wait() == -signal.SIGKILL
        assert not network.path.exists()
        network.remove()  # again: nothing there is fine
    finally:
        network.remove()
        scratch.release(keep=False)
    assert list(tmp_path.iterdir()) == []


_OWNER = """
import subprocess, sys
from pathlib import Path
from imaged.rehearsal.namespace import PrivateNetwork
from imaged.rehearsal.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
network = PrivateNetwork(scratch.name)
network.create()
network.tap()
child = subprocess.Popen(("nsenter", f"--net={network.path}", "sleep", "1000"))
while not network.holds(child.pid):
    pass
print(scratch.name, child.pid, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_rehearsal_left_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        (sys.executable, "-c", _OWNER, tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        name, pid = owner.stdout.readline().split()
        assert name not in reap()
        assert (namespace.NETNS / name).exists()
        owner.kill()
    assert name in reap()
    assert not (namespace.NETNS / name).exists()
    assert not (tmp_path / name).exists()
    stat = Path("/proc", pid, "stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_kept_scratch_stays(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.release(keep=True)
    assert [path.name for path in tmp_path.iterdir()] == [scratch.name]
    assert scratch.name not in reap()
    assert scratch.path.exists()
