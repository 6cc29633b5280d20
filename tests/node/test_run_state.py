"""What a node runs by itself, run-state, by bash and by BusyBox: real shells, against a server that answers as told."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from attrs import define, field

from imaged.planning.states import together
from imaged.store.paths import shipped

pytestmark = pytest.mark.processes
TEXT = together("n1", "ready", [("10all.a", "echo hello"), ("20n1.b", "echo oops >&2; exit 7")])
SAID = b"10all.a:\nhello\n20n1.b:\noops\n20n1.b ended with 7\n"


@define
class Script:
    """What the server answers, in order, the last for ever; and what it was asked: (method, path, secret, body)."""

    answers: list[tuple[int, str]] = field(factory=list)
    asked: list[tuple[str, str, str, bytes]] = field(factory=list)
    port: int = 0

    @property
    def run(self) -> str:
        """By which the node calls this time."""
        (run,) = {path.partition("run=")[2].partition("&")[0] for _, path, _, _ in self.asked}
        return run


@pytest.fixture
def script() -> Iterator[Script]:
    told = Script()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            told.asked.append((self.command, self.path, self.headers.get("Authorization", ""), body))
            status, text = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            if status == 0:  # it dies before it answers
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(text) + 99 * text.endswith("\n# cut")))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as http:
        told.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            http.shutdown()
            thread.join()


class Node:
    """One whose /run and /var/lib/imaged are a directory of the test; ``sleep`` there takes no time."""

    def __init__(self, home: Path, shell: str, port: int) -> None:
        program = shutil.which(shell)
        if not program:
            pytest.skip(f"{shell} is not installed")
        self.home = home
        self._shell = (program, "sh") if shell == "busybox" else (program,)
        (home / "bin").mkdir()
        if shell == "busybox":
            for name in ("nc", "cat", "tail", "mktemp", "mkfifo", "rm", "timeout", "wc", "head", "tr"):
                (home / "bin" / name).symlink_to(shutil.which("busybox") or "")
            (home / "bin/sh").symlink_to(shutil.which("dash") or "")
        (home / "bin/sleep").write_text("#!/bin/sh\n")
        (home / "bin/sleep").chmod(0o755)
        self._path = str(home / "bin") if shell == "busybox" else f"{home}/bin:{os.defpath}"
        (home / "secret").write_text("s3cret\n")
        (home / "server").write_text(f"http://127.0.0.1:{port}\n")
        text = shipped("autoinstall_scripts", "node", "run-state").read_text()
        text = text.replace("/var/lib/imaged", str(home)).replace("/run/imaged", f"{home}/run-imaged")
        if shell == "busybox":
            text = text.replace("[ ! -x /bin/bash ]", "true")
        (home / "run-state").write_text(text)

    def run(self, state: str = "ready") -> "subprocess.CompletedProcess[str]":
        """To its end. What it left behind is looked at."""
        done = subprocess.run(
            (*self._shell, self.home / "run-state", state), env={"PATH": self._path}, capture_output=True, text=True,
            check=False, timeout=120, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not list(self.home.glob("run-imaged*"))
        return done


@pytest.fixture(params=["bash", "busybox"])
def node(request: pytest.FixtureRequest, script: Script, tmp_path: Path) -> Node:
    return Node(tmp_path, request.param, script.port)


def local(node: Node, text: str) -> str:
    """The server's text writes to /run, which is the machine's that runs this test."""
    return text.replace("/run/", f"{node.home}/run-")


def test_it_runs_what_it_is_told_and_tells_how_it_went(script: Script, node: Node) -> None:
    script.answers = [(200, local(node, TEXT)), (204, "")]
    done = node.run()
    assert (done.returncode, done.stdout, done.stderr) == (1, SAID.decode(), "")
    get, post = script.asked
    assert get[1:] == (f"/v1/state/ready?run={script.run}", "Bearer s3cret", b"")
    assert post == ("POST", f"/v1/state/ready?run={script.run}&code=1", "Bearer s3cret", SAID)
    assert len(script.run) == 36
    first = script.run
    script.asked.clear()
    script.answers = [(204, "")]
    assert (node.run("daily").returncode, len(script.asked)) == (0, 1)
    assert script.run != first, "another time has another name"


def test_a_server_that_is_busy_dies_or_breaks_off_is_asked_again(script: Script, node: Node) -> None:
    text = local(node, TEXT)
    cut = text[: text.index("exit $failed")] + "\n# cut"
    script.answers = [
        (0, ""), (503, "no"), (202, ""), (200, cut), (202, ""), (200, text), (500, ""), (0, ""), (204, ""),
    ]  # fmt: skip
    assert node.run().stdout == SAID.decode()
    assert [method for method, *_ in script.asked] == ["GET"] * 6 + ["POST"] * 3
    assert len(script.run) == 36, "it is one run, however often it is asked for"
    assert script.asked[-1][3] == SAID


def test_no_is_final(script: Script, node: Node) -> None:
    script.answers = [(409, '{"what": "a node that is failed does not ask"}')]
    done = node.run()
    assert done.returncode == 1
    assert "the server answered 409" in done.stdout and "does not ask" in done.stdout
    assert len(script.asked) == 1


def test_a_server_that_is_away_is_not_waited_for_for_ever(node: Node) -> None:
    (node.home / "server").write_text("http://127.0.0.1:1\n")
    done = node.run()
    assert (done.returncode, "no answer from 127.0.0.1:1" in done.stdout) == (1, True)


def test_of_much_that_was_printed_the_end_is_told(script: Script, node: Node) -> None:
    text = together("n1", "ready", [("10all.a", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")])
    script.answers = [(200, local(node, text)), (204, "")]
    assert node.run().returncode == 0
    assert len(script.asked[1][3]) == 1_000_000
    assert script.asked[1][3].endswith(b"x\nend\n")


def test_a_node_that_was_never_installed(node: Node) -> None:
    (node.home / "secret").unlink()
    assert node.run().returncode == 1


def test_the_secret_is_no_programs_argument(script: Script, node: Node) -> None:
    script.answers = [(200, local(node, together("n1", "ready", [("a", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")]))),
                      (204, "")]  # fmt: skip
    assert "s3cret" not in node.run().stdout
