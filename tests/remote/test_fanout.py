"""Fan-out through a real ssh and a real sshd, joined by a pipe instead of a network."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from imaged.planning.rollout import Rollout, Standing
from imaged.planning.ssh import Door, config, known_hosts
from imaged.remote.fanout import Answer, fan_out

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/usr/sbin/sshd").exists(), reason="openssh-server is not installed"),
]


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """An ssh_config by which every name leads to an sshd of this test that lets its own user in."""
    for name in ("host", "user"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name), check=True)
    shutil.copyfile(tmp_path / "user.pub", tmp_path / "authorized")
    server = tmp_path / "sshd_config"
    server.write_text(
        f"HostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        f"PidFile none\nAcceptEnv *\nPermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    key = (tmp_path / "host.pub").read_text().strip()
    doors = [Door(name, None, (key,)) for name in ("n1", "n2", "n3")]
    doors.append(
        Door("liar", None, ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJw4HqTJ1yYxN0CzYzWvXkqkYy4u8Xb1mXbXzQyX3J0k",))
    )
    (tmp_path / "known").write_text(known_hosts(doors))
    # The remote end knows the name it was called by: that is all a test needs to tell nodes apart.
    proxy = f"ProxyCommand=/usr/sbin/sshd -i -f {shlex.quote(str(server))} -o SetEnv=NODE=%n"
    user = subprocess.run(("id", "-un"), capture_output=True, text=True, check=True).stdout.strip()
    path = tmp_path / "ssh_config"
    path.write_text(
        config(doors, known=str(tmp_path / "known"), user=user, key=str(tmp_path / "user"), options=(proxy,))
    )
    return path


def test_every_node_answers_for_itself(ssh: Path) -> None:
    heard: list[Answer] = []
    rollout = Rollout(("n1", "n2", "n3"), fanout=2)
    answers = fan_out(rollout, "echo I am $NODE; echo oops >&2; test $NODE != n2", ssh, on_answer=heard.append)
    assert sorted(answers, key=lambda answer: answer.node) == [
        Answer("n1", 0, "I am n1", "oops"), Answer("n2", 1, "I am n2", "oops"), Answer("n3", 0, "I am n3", "oops")
    ]  # fmt: skip
    assert tuple(heard) == answers
    assert rollout.standing(Standing.FAILED) == ("n2",)


def test_what_each_shall_read(ssh: Path) -> None:
    answers = fan_out(Rollout(("n1", "n2")), "cat", ssh, stdin=lambda node: f"for {node}".encode())
    assert sorted((answer.node, answer.output) for answer in answers) == [("n1", "for n1"), ("n2", "for n2")]


def test_what_it_shall_read(ssh: Path) -> None:
    (answer,) = fan_out(Rollout(("n1",)), "cat", ssh, stdin=b"a\nb\n")
    assert (answer.code, answer.output) == (0, "a\nb")


def test_a_node_with_another_host_key_is_not_spoken_to(ssh: Path) -> None:
    (answer,) = fan_out(Rollout(("liar",)), "echo hello", ssh)
    assert (answer.code, answer.output) == (255, "")
    assert "verification failed" in answer.errors


def test_a_node_that_takes_too_long(ssh: Path) -> None:
    (answer,) = fan_out(Rollout(("n1",)), "sleep 600", ssh, timeout=1)
    assert answer.code == 124


def test_a_failing_canary_saves_the_others(ssh: Path) -> None:
    rollout = Rollout(("n1", "n2", "n3"), canaries=1)
    assert len(fan_out(rollout, "exit 3", ssh)) == 1
    assert rollout.standing(Standing.SKIPPED) == ("n2", "n3")
