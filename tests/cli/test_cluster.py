"""The cluster tools as a person types them, through real ssh and scp clients and a real sshd, joined by a pipe."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import ImagedError
from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.nodes import Nodes

NAMES = ("node01", "node02", "node03")
needs_sshd = pytest.mark.skipif(not Path("/usr/sbin/sshd").exists(), reason="openssh-server is not installed")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A settings file of a site with three nodes, two of them in a group."""
    engine = open_database(tmp_path / "state/imaged.sqlite")
    nodes, groups = Nodes(engine), Groups(engine)
    groups.add(Group("rack1"))
    for number, name in enumerate(NAMES):
        nodes.add(Node(name, (Mac.parse(f"52:54:00:00:00:0{number}"),), ImageRef("tiny")))
    for name in NAMES[:2]:
        groups.put(name, ("rack1",))
    settings = tmp_path / "imaged.yaml"
    settings.write_text(f"address: 10.0.0.1\nstate: {tmp_path}/state\n")
    return settings


@pytest.fixture
def call(site: Path, tmp_path: Path) -> Callable[..., Result]:
    """A verb with its words; every node is an sshd of this test."""
    for name in ("host", "user"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name), check=True)
    shutil.copyfile(tmp_path / "user.pub", tmp_path / "authorized")
    key, nodes = (tmp_path / "host.pub").read_text().strip(), Nodes(open_database(tmp_path / "state/imaged.sqlite"))
    for name in NAMES:
        nodes.keep(name, host_keys=key)
    server = tmp_path / "sshd_config"
    server.write_text(
        f"HostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        "PidFile none\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    proxy = f"ProxyCommand=/usr/sbin/sshd -i -f {shlex.quote(str(server))} -o SetEnv=NODE=%n"
    user = subprocess.run(("id", "-un"), capture_output=True, text=True, check=True).stdout.strip()

    def run(verb: str, *words: str) -> Result:
        reach = ("--ssh-option", proxy, "--ssh-key", str(tmp_path / "user"), "--ssh-user", user)
        return CliRunner().invoke(imaged, ["--settings", str(site), verb, *reach, *words])

    return run


def said(result: Result) -> str:
    return result.output + (str(result.exception) if isinstance(result.exception, ImagedError) else "")


@needs_sshd
def test_equal_answers_are_shown_once(call: Callable[..., Result]) -> None:
    line = "test $NODE != node02 && echo fine; test $NODE != node02"
    result = call("cexec", "@*", line)
    assert result.output == "node[01,03]:\n  fine\nnode02: ended with 1\n"
    assert "1 of 3 nodes failed" in said(result)
    assert call("cexec", "@rack1", "true").output == "node[01-02]: done\n"


@needs_sshd
def test_lines_with_names(call: Callable[..., Result]) -> None:
    lines = call("cexec", "--pipe", "--serial", "node[01-03]!node02", "echo", "a; b", "-n").output.splitlines()
    assert lines == ["node01: a; b -n", "node03: a; b -n"]


@needs_sshd
def test_files_there_and_back(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "new").write_text("hello\n")
    (tmp_path / "new").chmod(0o640)
    target = tmp_path / "there"
    assert call("cpush", "node01", str(tmp_path / "new"), str(target)).output == "node01: done\n"
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("hello\n", 0o640)
    assert call("cget", "@rack1", str(target), str(tmp_path)).output == "node[01-02]: done\n"
    assert [(tmp_path / f"there.{name}").read_text() for name in NAMES[:2]] == ["hello\n"] * 2
    missing = call("cget", "@*", f"{tmp_path}/none", str(tmp_path))
    assert "3 of 3 nodes failed: node[01-03]" in said(missing) or "node[01-03]: 3 of 3 nodes failed" in said(missing)
    assert "No such file" in missing.output


@needs_sshd
def test_what_removes_asks_first(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "old").write_text("")
    asked = call("crm", "node01", str(tmp_path / "old"))
    assert "on node01 (1)? [y/N]" in asked.output
    assert (tmp_path / "old").exists()
    assert call("crm", "--yes", "node01", str(tmp_path / "old")).output == "node01: done\n"
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("cexec", "--dry-run", "@rack1", "rm", "a b"), "node[01-02]: rm 'a b'\n"),
        (("ckill", "--dry-run", "-s", "HUP", "@*", "sshd"),
         "node[01-03]: pkill --signal HUP --exact -- sshd || test $? = 1\n"),
        (("cshutdown", "--dry-run", "-r", "node03", "+5"), "node03: shutdown --reboot +5\n"),
        (("cpush", "--dry-run", "node03", "/etc/hosts"), "node03: /etc/hosts to /etc/hosts\n"),
        (("cname", "1-2"), "node02\nnode03\n"),
        (("cname", "--of", "@rack1"), "node01\nnode02\n"),
        (("cnum", "node03", "node01"), "2 node03\n0 node01\n"),
        (("clist",), "@*: node[01-03]\n@rack1: node[01-02]\n"),
        (("boot", "@rack1", "local"), "node01: next network boot: local\nnode02: next network boot: local\n"),
        (("rmnode", "node[02-03]"), "node02: removed\nnode03: removed\n"),
    ],
)  # fmt: skip
def test_without_a_node_being_reached(site: Path, words: tuple[str, ...], expected: str) -> None:
    assert CliRunner().invoke(imaged, ["--settings", str(site), *words]).output == expected


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("cexec", "node[01-", "true"), "Write nodes like"),
        (("cexec", "@rack9", "true"), "no group 'rack9'"),
        (("cexec", "node04", "true"), "node04"),
        (("cexec", "@rack1!node[01-02]", "true"), "no such nodes"),
        (("rmnode", "node[03-04]"), "node04"),
        (("crm", "--yes", "@*", "/"), "not a file that can be named"),
        (("cnum", "node03", "--of", "@rack1"), "node03 is not among @rack1"),
        (("cget", "@*", "etc/hosts"), "not the absolute path"),
    ],
)  # fmt: skip
def test_refused(site: Path, words: tuple[str, ...], what: str) -> None:
    result = CliRunner().invoke(imaged, ["--settings", str(site), *words])
    assert result.exit_code
    assert what in said(result)
    assert len(Nodes(open_database(site.parent / "state/imaged.sqlite")).all()) == 3
