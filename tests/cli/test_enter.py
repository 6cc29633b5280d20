"""``enter`` as people meet it: what becomes of a copy, who may edit, and a terminal that works."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import BadInput, CannotPlan, Conflict, NotFound
from imaged.model.names import ImageRef
from imaged.store.images import Images
from imaged.store.tree import Tree
from tests.origins import tiny

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter an image"),
    pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox"),
]
_SECONDS = 30  # until we give up on a terminal's answer


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A settings file, and an image ``compute`` that could be installed."""
    make_site(tmp_path)
    return tmp_path


def make_site(place: Path, fill: Callable[[Path], None] = lambda _: None) -> None:
    (place / "imaged.yaml").write_text(f"address: 127.0.0.1\nstate: {place}/state\n")
    images = stored(place)
    with images.working("compute") as working:
        shutil.rmtree(working.tree)
        tiny.make(working.tree)
        for name in ("boot/vmlinuz-6.1", "boot/initrd.img-6.1", "usr/lib/modules/6.1/x"):
            tiny.write(working.tree / name, "x")
        tiny.write(working.tree / "usr/lib/grub/i386-pc/moddep.lst", "")
        tiny.write(working.tree / "etc/machine-id", "")
        (working.tree / "etc/machine-id").chmod(0o444)
        fill(working.tree)
        images.publish(images.seal(working, origin="a test"), "stable")


def stored(site: Path) -> Images:
    return Images(site / "state/images")


def arguments(site: Path, *argv: str) -> list[str]:
    return ["--settings", str(site / "imaged.yaml"), "enter", *argv]


def enter(site: Path, *argv: str) -> Result:
    return CliRunner().invoke(imaged, arguments(site, *argv), standalone_mode=False)


def newest(site: Path) -> Tree:
    images = stored(site)
    return Tree(images.tree(images.versions("compute")[-1]))


def numbers(site: Path) -> list[int]:
    return [version.number for version in stored(site).versions("compute")]


def copies(site: Path) -> list[str]:
    """What there is of the image beside its versions and channels."""
    home = site / "state/images/compute"
    return [path.name for path in home.iterdir() if (path / "tree").is_dir() and not path.name.isdigit()]


MOTD = ("sh", "-c", "echo hello > /etc/motd; rm /usr/lib/modules/6.1/x; echo k > /etc/ssh_host; echo h > /etc/hostname")


def test_a_command_is_sealed_and_published_when_asked_for(site: Path) -> None:
    result = enter(site, "compute", "--seal", "--channel", "canary", "--message", "a motd", "--", *MOTD)
    assert (result.exception, result.return_value) == (None, 0), result.output
    version = stored(site).resolve(ImageRef.parse("compute@canary"))
    assert version.number == 2
    assert version.origin.startswith("edit of compute@1 by ")
    assert version.origin.endswith(": a motd")
    assert newest(site).text("/etc/motd") == "hello\n"
    assert not newest(site).exists("/etc/hostname"), "what must not be in an image is removed"
    assert "2 added, 0 changed, 1 deleted" in result.output
    assert "+ /etc/motd" in result.output
    assert "- /usr/lib/modules/6.1/x" in result.output
    assert stored(site).channels("compute") == {"canary": 2, "stable": 1}
    assert copies(site) == []


def test_the_version_that_was_copied_does_not_change(site: Path) -> None:
    images = stored(site)
    (version,) = images.versions("compute")
    before = (images.tree(version) / "etc/passwd").stat()
    enter(site, "compute", "--seal", "--", "sh", "-c", "echo x >> /etc/passwd; chmod 600 /etc/group")
    assert (images.tree(version) / "etc/passwd").stat() == before
    assert (images.tree(version) / "etc/group").stat().st_mode & 0o777 == 0o644
    assert images.entries(version)


def test_without_a_word_the_copy_is_kept_and_the_next_one_goes_on_with_it(site: Path) -> None:
    first = enter(site, "compute", "--", *MOTD)
    assert first.return_value == 0
    assert "The copy is kept" in first.output
    assert numbers(site) == [1]
    second = enter(site, "compute", "--seal", "--", "cat", "/etc/motd")
    assert "Going on with the copy of compute@1" in second.output
    assert numbers(site) == [1, 2]
    assert newest(site).text("/etc/motd") == "hello\n"


def test_fresh_begins_anew(site: Path) -> None:
    enter(site, "compute", "--keep", "--", *MOTD)
    result = enter(site, "compute", "--fresh", "--keep", "--", "test", "-e", "/etc/motd")
    assert result.return_value == 1
    assert "Going on" not in result.output


def test_discard_leaves_nothing(site: Path) -> None:
    result = enter(site, "compute", "--discard", "--", *MOTD)
    assert "2 added" in result.output
    assert (numbers(site), copies(site)) == ([1], [])


@pytest.mark.parametrize(("option", "kept"), [("--seal", []), ("--discard", [])])
def test_nothing_different_makes_no_version(site: Path, option: str, kept: list[str]) -> None:
    result = enter(site, "compute", option, "--", "sh", "-c", "touch /run/x /tmp/x; ls /usr")
    assert "0 added, 0 changed, 0 deleted" in result.output
    assert (numbers(site), copies(site)) == ([1], kept)


def test_a_failed_command_is_not_sealed_but_kept_and_its_code_comes_out(site: Path) -> None:
    result = enter(site, "compute", "--seal", "--", "sh", "-c", "echo x > /etc/motd; exit 7")
    assert result.return_value == 7
    assert "The command ended with 7, so nothing is sealed." in result.output
    assert numbers(site) == [1]
    again = enter(site, "compute", "--seal", "--force", "--", "sh", "-c", "exit 7")
    assert (again.return_value, numbers(site)) == (7, [1, 2])


def test_what_could_not_be_installed_any_more_is_not_sealed_but_kept(site: Path) -> None:
    result = enter(site, "compute", "--seal", "--", "rm", "/boot/initrd.img-6.1")
    assert isinstance(result.exception, CannotPlan)
    assert "kernel 6.1 has no initramfs" in str(result.exception)
    assert numbers(site) == [1]
    assert enter(site, "compute", "--seal", "--", "sh", "-c", "echo x > /boot/initrd.img-6.1").exception is None
    assert numbers(site) == [1, 2]


def test_a_kept_copy_of_another_version_is_said(site: Path) -> None:
    enter(site, "compute", "--seal", "--channel", "stable", "--", *MOTD)
    enter(site, "compute@1", "--keep", "--", "touch", "/etc/kept")
    went_on = enter(site, "compute", "--keep", "--", "true")
    assert "compute means compute@2" in went_on.output
    refused = enter(site, "compute@2", "--", "true")
    assert isinstance(refused.exception, Conflict)
    assert "left a copy of version 1" in str(refused.exception)
    sealed = enter(site, "compute", "--seal", "--", "true")
    assert "Since compute@1" in sealed.output


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (("login", "--", "true"), NotFound),
        (("compute@9", "--", "true"), NotFound),
        (("../etc", "--", "true"), BadInput),
        (("compute", "--channel", "9", "--", "true"), BadInput),
        (("compute", "--keep", "--channel", "canary", "--", "true"), BadInput),
        (("compute", "--discard", "--message", "x", "--", "true"), BadInput),
    ],
)
def test_bad_arguments_make_no_copy(site: Path, argv: tuple[str, ...], error: type) -> None:
    assert isinstance(enter(site, *argv).exception, error)
    assert copies(site) == []


def test_a_command_that_is_not_there(site: Path) -> None:
    result = enter(site, "compute", "--seal", "--", "no-such-program")
    assert (result.return_value, numbers(site)) == (127, [1])


@pytest.fixture
def visit(site: Path) -> Iterator[subprocess.Popen[str]]:
    """Somebody who is inside ``compute`` and has written a file."""
    argv = (
        sys.executable,
        "-m",
        "imaged",
        *arguments(site, "compute", "--", "sh", "-c", "echo x > /etc/mine; echo in; sleep 1000"),
    )
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "SUDO_USER": "alice"},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "in\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.usefixtures("visit")
def test_a_second_editor_is_told_who_and_since_when(site: Path) -> None:
    refused = enter(site, "compute", "--", "true")
    assert isinstance(refused.exception, Conflict)
    assert "alice" in str(refused.exception)
    assert " since 20" in str(refused.exception)


def test_after_a_kill_the_copy_is_there_for_the_next(site: Path, visit: subprocess.Popen[str]) -> None:
    visit.kill()
    visit.wait()
    result = enter(site, "compute", "--seal", "--", "cat", "/etc/mine")
    assert "Going on with the copy of compute@1 that alice entered" in result.output
    assert newest(site).text("/etc/mine") == "x\n"
    assert not newest(site).exists("/etc/resolv.conf")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_told_to_end_while_it_copies_it_leaves_nothing(site: Path, number: signal.Signals) -> None:
    tree = newest(site).root
    for at in range(30_000):
        (tree / f"usr/{at}").symlink_to("x" * 100)  # what takes long to copy
    argv = [sys.executable, "-m", "imaged", *arguments(site, "compute", "--", "true")]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "Copying ...\n"
        child.send_signal(number)
        said = child.stderr.read()
    assert (child.returncode, "Traceback" in said) == (128 + number, False)
    assert sorted(path.name for path in (site / "state/images/compute").iterdir() if path.name == ".edit") == []


class Terminal:
    """``imaged enter`` on a terminal of its own."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "linux"
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs tests in the background ignores it
            os.execv(sys.executable, [sys.executable, "-m", "imaged", *argv])
        self.seen = ""

    def expect(self, text: str) -> None:
        """Read until ``text`` comes; what was before it is forgotten."""
        while text not in self.seen:
            assert select.select([self._master], [], [], _SECONDS)[0], f"{text!r} did not come: {self.seen!r}"
            try:
                self.seen += os.read(self._master, 4096).decode(errors="replace")
            except OSError:  # EIO: the other side is closed
                raise AssertionError(f"{text!r} did not come before the end: {self.seen!r}") from None
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def insist(self, key: str, text: str) -> None:
        """Press ``key``, as a person again when nothing happens, until ``text`` comes.

        A Ctrl-C just before a program reads is noticed only after it (libc's fgets(3), the shell between two commands).
        """
        for _ in range(_SECONDS):
            self.type(key)
            while text not in self.seen and select.select([self._master], [], [], 1)[0]:
                self.seen += os.read(self._master, 4096).decode(errors="replace")
            if text in self.seen:
                break
        self.expect(text)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._master, (rows, columns))

    def end(self) -> int:
        """Its exit code."""
        while select.select([self._master], [], [], _SECONDS)[0]:
            try:
                self.seen += os.read(self._master, 4096).decode(errors="replace")
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self._master)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@pytest.fixture
def terminal(site: Path) -> Iterator[Terminal]:
    """A shell in ``compute``, at its first prompt."""
    made = Terminal(arguments(site, "compute"))
    try:
        made.expect("(compute) # ")
        yield made
    finally:
        made.close()


def test_a_shell_on_a_terminal(site: Path, terminal: Terminal) -> None:
    terminal.type("tty\n")
    terminal.expect("/dev/pts/")
    terminal.expect("(compute) # ")
    terminal.resize(50, 132)
    terminal.type("stty size\n")
    terminal.expect("50 132")
    terminal.expect("(compute) # ")
    terminal.type("echo beg''un; sleep 1000\n")
    terminal.expect("begun")  # before that the shell, which edits its line itself, would take the Ctrl-C
    terminal.insist("\x03", "(compute) # ")
    terminal.type("echo hello > /etc/motd; exit\n")
    terminal.expect("1 added, 0 changed, 0 deleted")
    terminal.expect("[s/k/d/b]")
    terminal.type("b\n")
    terminal.expect("(compute) # ")
    terminal.type("cat /etc/motd; exit\n")
    terminal.expect("hello")
    terminal.expect("[s/k/d/b]")
    terminal.type("s\n")
    terminal.expect("What changed")
    terminal.type("a motd\n")
    terminal.expect("Channel")
    terminal.type("7\n")
    terminal.expect("is not a channel name")
    terminal.type("canary\n")
    terminal.expect("compute@2 is canary now")
    assert terminal.end() == 0
    assert newest(site).text("/etc/motd") == "hello\n"


def test_a_shell_that_is_killed_gives_the_terminal_back(site: Path, terminal: Terminal) -> None:
    terminal.type("touch /etc/mine; stty -echo; kill -9 $$\n")
    terminal.expect("[s/k/d/b]")
    terminal.type("k\n")
    terminal.expect("k")
    terminal.expect("The copy is kept")
    assert terminal.end() == 0
    assert numbers(site) == [1]


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_no_answer_keeps_the_copy(site: Path, terminal: Terminal, key: str) -> None:
    terminal.type("touch /etc/mine; exit\n")
    terminal.expect("[s/k/d/b]")
    terminal.insist(key, "The copy is kept")
    assert terminal.end() == 0
    assert numbers(site) == [1]


@pytest.fixture(params=["btrfs", "xfs"])
def sharing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A filesystem whose files can share blocks (ioctl_ficlone(2))."""
    if not shutil.which(f"mkfs.{request.param}"):
        pytest.skip(f"needs mkfs.{request.param}")
    disk, at = tmp_path / "disk", tmp_path / "disk.mounted"
    at.mkdir()
    with disk.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run((f"mkfs.{request.param}", str(disk)), check=True, capture_output=True)
    if subprocess.run(("mount", "-o", "loop", str(disk), str(at)), check=False, capture_output=True).returncode:
        pytest.skip(f"this kernel mounts no {request.param} from a file")
    try:
        yield at
    finally:
        subprocess.run(("umount", str(at)), check=True)


def used(at: Path) -> int:
    """Bytes in use, everything written."""
    subprocess.run(("sync", "--file-system", str(at)), check=True)
    space = os.statvfs(at)
    return (space.f_blocks - space.f_bfree) * space.f_frsize


def test_a_copy_shares_its_blocks_where_the_filesystem_can(sharing: Path) -> None:
    def fill(tree: Path) -> None:
        (tree / "srv").mkdir()
        (tree / "srv/big").write_bytes(os.urandom(64 << 20))
        subprocess.run(("setfacl", "--modify", "user:7:rx,default:user:7:rx", str(tree / "srv")), check=True)

    make_site(sharing, fill)
    before = used(sharing)
    result = enter(sharing, "compute", "--keep", "--", "touch", "/etc/mine")
    assert "1 added, 0 changed, 0 deleted" in result.output
    assert used(sharing) - before < 16 << 20
    enter(sharing, "compute", "--seal", "--", "sh", "-c", "echo x >> /srv/big")
    first, second = stored(sharing).versions("compute")
    assert second.bytes - first.bytes == 2
    assert (stored(sharing).tree(first) / "srv/big").stat().st_size == 64 << 20
    assert used(sharing) - before < 16 << 20
