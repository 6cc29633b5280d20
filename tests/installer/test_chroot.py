"""The image's own programs in its own tree: a real chroot, in a mount namespace that goes with the test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imaged.model.plan import RunInTarget
from installer.chroot import argv, release
from installer.process import Completed

_BUSYBOX = shutil.which("busybox")
needs_root = pytest.mark.skipif(os.geteuid() != 0 or not _BUSYBOX, reason="needs root and busybox for a chroot")
_INSIDE = """
import sys
from pathlib import Path
from imaged.model.errors import ImagedError
from imaged.model.plan import RunInTarget
from installer.chroot import run_in_target
from installer.process import Processes
root, script, timeout = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
try:
    run_in_target(RunInTarget(("sh", "-c", script), "from stdin", timeout), root, Processes(lambda _: None).run)
except ImagedError as error:
    print(error)
print("left:", [line.split()[4] for line in open("/proc/self/mountinfo") if str(root) in line])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The smallest image: busybox and a policy directory."""
    place = tmp_path / "root"
    for name in ("bin", "usr/sbin", "etc"):
        (place / name).mkdir(parents=True)
    assert _BUSYBOX
    shutil.copy(_BUSYBOX, place / "bin/busybox")
    needs = subprocess.run(("ldd", _BUSYBOX), capture_output=True, text=True, check=False).stdout
    for library in (word for word in needs.split() if word.startswith("/")):
        (place / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place / library[1:])
    for applet in ("sh", "cat", "env", "ls", "mount", "sleep", "test"):
        (place / "bin" / applet).symlink_to("busybox")
    return place


def run(root: Path, script: str, timeout: int = 60) -> str:
    done = subprocess.run(
        ("unshare", "--mount", "--propagation", "private", sys.executable, "-c", _INSIDE, root, script, str(timeout)),
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.stdout


def test_argv() -> None:
    step = RunInTarget(("grub-install", "/dev/sda"))
    assert argv(step, Path("/target")) == ("chroot", "/target", "grub-install", "/dev/sda")


@needs_root
def test_what_a_program_mounts_goes_with_its_surroundings(root: Path) -> None:
    assert run(root, "mount -t tmpfs mine /sys/kernel/debug && > /sys/kernel/debug/x && > /etc/ok") == "left: []\n"
    assert (root / "etc/ok").exists()


def test_what_is_held_open_is_taken_out_of_the_tree() -> None:
    ran: list[tuple[str, ...]] = []

    def busy(argv: tuple[str, ...], *, check: bool = True, **_: object) -> Completed:
        ran.append(argv)
        code = 0 if "--lazy" in argv else 32
        assert not (code and check)
        return Completed(argv, code, "", "target is busy")

    release("/target/sys", busy)
    assert ran == [("umount", "--recursive", "/target/sys"), ("umount", "--recursive", "--lazy", "/target/sys")]


@needs_root
def test_surroundings(root: Path) -> None:
    script = """
        cat > /etc/stdin; env > /etc/env; cat /usr/sbin/policy-rc.d > /etc/policy
        test -c /dev/null && test -e /dev/pts/ptmx && test -d /proc/self || exit 1
        test -d /sys/kernel && test -d /run || exit 1
        > /etc/ok
    """
    assert run(root, script) == "left: []\n"
    assert (root / "etc/ok").exists()
    assert (root / "etc/stdin").read_text() == "from stdin"
    assert (root / "etc/policy").read_text() == "#!/bin/sh\nexit 101\n"
    assert not (root / "usr/sbin/policy-rc.d").exists()
    environment = set((root / "etc/env").read_text().splitlines())
    assert {"LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_OFFLINE=1"} <= environment
    assert not [line for line in environment if line.startswith("PYTHONPATH")]
    assert any(line.startswith("PATH=") and "/usr/sbin" in line for line in environment)


@needs_root
@pytest.mark.parametrize("own", ["", "root=UUID=11111111-1111-5111-8111-111111111111 ro\n"])
def test_the_ramdisks_command_line_is_out_of_sight(root: Path, own: str) -> None:
    """Programs that find no other take it for the node's own."""
    if own:
        (root / "etc/kernel").mkdir()
        (root / "etc/kernel/cmdline").write_text(own)
    assert run(root, "cat /proc/cmdline > /etc/seen") == "left: []\n"
    assert (root / "etc/seen").read_text() == own != Path("/proc/cmdline").read_text()


@needs_root
def test_failure_cleans_up_too(root: Path) -> None:
    said = run(root, "echo broken postinst >&2; exit 4")
    assert "ended with 4\n  broken postinst" in said
    assert said.endswith("left: []\n")
    assert not (root / "usr/sbin/policy-rc.d").exists()


@needs_root
def test_daemons_and_hangs_do_not_stay(root: Path) -> None:
    assert run(root, "cd /dev; (trap '' HUP; setsid sleep 600) & sleep 0.2") == "left: []\n"
    assert "gave up after 1 s" in run(root, "sleep 600", timeout=1)
    alive = [path for path in Path("/proc").glob("[0-9]*/root") if readlink(path) == str(root)]
    assert alive == []


@needs_root
def test_an_image_keeps_its_own_policy(root: Path) -> None:
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    run(root, "exit 0")
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


@needs_root
def test_links_of_the_image_do_not_lead_outside(root: Path) -> None:
    (root / "run").symlink_to("/../../../../../outside")
    assert run(root, "exit 0") == "left: []\n"
    assert (root / "outside").is_dir()


def readlink(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
