"""``getimage`` and ``prepareclient``: what they refuse before they reach anybody, help, the script's own behaviour."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import ImagedError
from imaged.model.names import ImageRef
from imaged.store.images import Images

GOLDEN = Path(__file__).parents[1] / "data/help"
_HERE = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "imaged.yaml"
    path.write_text(f"address: 127.0.0.1\nstate: {tmp_path}/state\n")
    return path


def _run(settings: Path, *argv: str) -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(settings), *argv])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("getimage", "host", "--image", "Bad Name"), "is not an image name"),
        (("getimage", "host", "--image", "a", "--channel", "3"), "is not a channel name"),
        (("getimage", "host", "--image", "a", "--layout", "../x"), "is not a layout name"),
        (("getimage", "host", "--image", "a", "--exclude", "/"), "is no pattern"),
        (("getimage", "host", "--image", "a", "--exclude-file", "/no/such/file"), "No such file"),
        (("getimage", "host", "--image", "a", "--ssh-option", "Compression"), "is no option of ssh"),
        (("getimage", "rsync://host:x/", "--image", "a"), "is not a port"),
        (("getimage", "rsync://host", "--image", "a", "--sudo"), "is not reached by ssh"),
        (("prepareclient", "--server", "head1"), "is not an address"),
    ],
)
def test_refused_before_anybody_is_asked(settings: Path, argv: tuple[str, ...], said: str) -> None:
    result = _run(settings, *argv)
    assert isinstance(result.exception, ImagedError)
    assert said in str(result.exception)
    assert not (settings.parent / "state/images").exists()


@pytest.mark.parametrize("argv", [("getimage", "h"), ("getimage", "h", "--image", "a", "--no-default-excludes", "x")])
def test_refused_by_the_command_line(settings: Path, argv: tuple[str, ...]) -> None:
    assert _run(settings, *argv).exit_code == 2


@pytest.mark.parametrize("verb", ["getimage", "prepareclient"])
def test_help(verb: str) -> None:
    text = CliRunner().invoke(imaged, [verb, "--help"], terminal_width=100).output
    path = GOLDEN / f"{verb}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("shell", [("sh", "-n"), ("bash", "-n"), ("busybox", "sh", "-n")])
def test_the_printed_script_is_one_to_every_shell(settings: Path, shell: tuple[str, ...]) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    text = _run(settings, "prepareclient", "--port", "9000").output
    assert "server=127.0.0.1 port=9000 timeout=3600" in text
    done = subprocess.run(shell, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def daemon(settings: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A golden client that runs what was printed: its root is a small tree, by chroot."""
    if os.geteuid() != 0:
        pytest.skip("a chroot needs root")
    tree = settings.parent / "golden"
    for name in ("usr", "proc", "tmp", "etc", "srv", "dev"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/machine-id").write_text("0123\n")
    (tree / "etc/os-release").write_text('ID=test\nPRETTY_NAME="A test"\n')
    (tree / "srv/file").write_text("content")
    (tree / "srv/odd\nname").write_text("x")
    os.mknod(tree / "dev/null", 0o020666, os.makedev(1, 3))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    script = _run(settings, "prepareclient", "--port", str(port), "--timeout", "5").output
    start = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t overlay -o ro,lowerdir=/usr:"$1/srv" overlay "$1/usr"
mount -t proc proc "$1/proc"
exec chroot "$1" sh -s
"""
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*argv, "sh", "-c", start, "start", str(tree)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(script)
        process.stdin.close()
        said = ""
        for line in process.stderr:
            said += line
            if "Ctrl-C ends it now" in line:
                break
        assert "can read EVERY file of this machine" in said
        yield port, process
        process.kill()


@pytest.mark.clients
def test_a_machine_is_captured_from_its_daemon_which_then_ends(
    settings: Path, daemon: tuple[int, subprocess.Popen[str]]
) -> None:
    port, process = daemon
    host = f"rsync://127.0.0.1:{port}/"
    argv = [sys.executable, "-m", "imaged", "--settings", str(settings), "getimage", host, "--image", "gold"]
    shown = subprocess.run([*argv, "--dry-run"], capture_output=True, text=True, check=False, cwd=_HERE)
    assert shown.returncode == 0, shown.stderr
    assert "A test" in shown.stdout
    assert "/etc/machine-id" in shown.stdout
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=_HERE)
    assert done.returncode == 0, done.stderr
    images = Images(settings.parent / "state/images")
    paths = {entry.path for entry in images.entries(images.resolve(ImageRef.parse("gold")))}
    assert {"srv/file", "srv/odd\nname", "usr", "tmp"} <= paths
    assert not any(path.startswith(("usr/", "tmp/", "proc/")) or path == "etc/machine-id" for path in paths)
    assert process.wait(60) == 0
    assert not list((settings.parent / "golden/tmp").iterdir())


@pytest.mark.clients
def test_the_daemon_lets_nobody_else_in_and_nothing_be_written(
    settings: Path, daemon: tuple[int, subprocess.Popen[str]], tmp_path: Path
) -> None:
    port, _ = daemon
    more = ["rsync", f"--port={port}"]
    other = subprocess.run(
        [*more, "--address=127.0.0.2", "127.0.0.1::golden/"], capture_output=True, text=True, check=False
    )
    assert "Unknown module" in other.stderr  # what is not listed does not exist for those who are denied
    (tmp_path / "new").write_text("x")
    wrote = subprocess.run(
        [*more, str(tmp_path / "new"), "127.0.0.1::golden/"], capture_output=True, text=True, check=False
    )
    assert "read only" in wrote.stderr
    assert subprocess.run([*more, "127.0.0.1::"], capture_output=True, text=True, check=False).stdout == ""


def test_nobody_there(settings: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    result = _run(settings, "getimage", "rsync://127.0.0.1:1", "--image", "gold")
    assert isinstance(result.exception, ImagedError)
    assert "Run there what `imaged prepareclient` prints" in str(result.exception)
