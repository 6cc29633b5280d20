"""``importimage`` as people meet it: what becomes a version, what is refused, and what is left when it is ended."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import BadInput, CannotPlan, ImagedError
from imaged.model.names import ImageRef
from imaged.store.images import Images
from imaged.store.tree import Tree
from tests.origins.import_sources import LayoutMaker, archive, forged, layer, make_root, member

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can import an image"),
    pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox"),
]
_HERE = Path(__file__).resolve().parents[2]
_FAULTS = ("no kernel", "no GRUB", "no /bin/sh", "no /sbin/init", "no ssh server")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a root that could be installed."""
    place = tmp_path_factory.mktemp("whole")
    make_root(place / "root")
    return archive(place / "root", place / "whole.tar.zst", packer="zstd")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An archive of a root that no machine could start from."""
    names = ("etc", "usr")
    (tmp_path / "bare.tar").write_bytes(forged(*((member(name, tarfile.DIRTYPE, mode=0o755), "") for name in names)))
    return tmp_path / "bare.tar"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "imaged.yaml").write_text(f"address: 127.0.0.1\nstate: {tmp_path}/state\n")
    return tmp_path


def stored(site: Path) -> Images:
    return Images(site / "state/images")


def run(site: Path, *argv: str | Path) -> Result:
    words = ["--settings", str(site / "imaged.yaml"), "importimage", *map(str, argv)]
    return CliRunner().invoke(imaged, words, standalone_mode=False)


def left(site: Path) -> list[str]:
    """Everything of the image but its lock."""
    return sorted(path.name for path in (site / "state/images/x").iterdir() if path.name != ".lock")


def test_an_archive_becomes_a_version_and_is_published(site: Path, whole: Path) -> None:
    result = run(site, whole, "--image", "x")
    assert result.exception is None, result.output
    assert "x@1 is stable now: 2.8 MiB" in result.output
    assert "Tiny 9, x86_64" in result.output
    assert "Warning" not in result.output
    version = stored(site).resolve(ImageRef.parse("x"))
    assert version.origin == "import of whole.tar.zst (tar archive, zstd)"
    tree = Tree(stored(site).tree(version))
    assert (tree.text("/etc/passwd")[:5], tree.exists("/etc/hostname"), tree.exists("/proc/1")) == (
        "root:",
        False,
        False,
    )
    assert left(site) == ["1", "channels"]
    assert sorted(path.name for path in (site / "state/images/x/1").iterdir()) == [
        "manifest.mtree",
        "tree",
        "version.json",
    ]


def test_again_gives_the_same_manifest_and_another_channel_can_be_moved(site: Path, whole: Path) -> None:
    run(site, whole, "--image", "x")
    assert run(site, whole, "--image", "x", "--publish", "canary").exception is None
    first, second = stored(site).versions("x")
    assert first.manifest_sha256 == second.manifest_sha256
    assert stored(site).channels("x") == {"canary": 2, "stable": 1}


def test_what_could_not_start_is_named_line_by_line_and_refused(site: Path, bare: Path) -> None:
    result = run(site, bare, "--image", "x")
    assert isinstance(result.exception, CannotPlan)
    lines = str(result.exception).splitlines()
    assert len(lines) == len(_FAULTS) + 1
    assert all(fault in line for fault, line in zip(_FAULTS, lines, strict=False))
    assert "--allow-unbootable" in lines[-1]
    assert left(site) == []
    result = run(site, bare, "--image", "x", "--allow-unbootable")
    assert result.exception is None
    assert result.output.count("Warning: there is no") == len(_FAULTS)
    assert stored(site).channels("x") == {"stable": 1}


def test_a_dry_run_says_what_it_is_and_leaves_nothing(site: Path, whole: Path, bare: Path) -> None:
    result = run(site, whole, "--image", "x", "-n")
    assert result.exception is None
    lines = [line.strip() for line in result.output.splitlines() if line.strip()]
    assert lines[-5] == f"{whole} is a tar archive, zstd"
    assert lines[-4].split(maxsplit=1) == ["System", "Tiny 9, x86_64"]
    assert [line.split()[0] for line in lines[-3:]] == ["Size", "Kernels", "GRUB"]
    assert left(site) == []
    output = run(site, bare, "--image", "x", "--dry-run").output
    assert all(fault in output for fault in _FAULTS)
    assert left(site) == []


def test_a_container_image_is_known_by_its_name_and_digest(site: Path) -> None:
    maker = LayoutMaker(site / "layout")
    maker.add(maker.image([layer(etc=None, usr=None, etc__a="a")]), "debian:12")
    result = run(site, maker.at, "--image", "x", "--allow-unbootable", "--tag", "12")
    assert result.exception is None
    (version,) = stored(site).versions("x")
    assert version.origin.startswith("import of layout (OCI layout, debian:12 sha256:")
    assert run(site, maker.at, "--image", "x", "-n").output.count(" is an OCI layout, debian:12 sha256:") == 1


def test_an_image_of_systemimager_is_told_of(site: Path, whole: Path) -> None:
    at = site / "images/compute"
    shutil.copytree(whole.parent / "root/etc", at / "etc")
    (at / "usr").mkdir()
    (at / "etc/systemimager").mkdir()
    (at / "etc/systemimager/autoinstallscript.conf").write_text("<config/>")
    result = run(site, at, "--image", "x", "--allow-unbootable")
    assert result.exception is None
    assert "/etc/systemimager/autoinstallscript.conf: SystemImager's disk layout" in result.output
    assert stored(site).versions("x")[0].origin == "import of compute (SystemImager image)"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nothing", "--image", "x"), "No such file"),
        (("imaged.yaml", "--image", "Bad Name"), "is not an image name"),
        (("imaged.yaml", "--image", "x", "--channel", "3"), "is not a channel name"),
    ],
)
def test_refused_before_anything_is_made(site: Path, argv: tuple[str, ...], said: str) -> None:
    result = run(site, site / argv[0], *argv[1:])
    assert isinstance(result.exception, BadInput)
    assert said in str(result.exception)
    assert not (site / "state").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda site: site / "imaged.yaml", "nothing that an image can be made of"),
        (lambda site: site / "fifo", "neither a file nor a directory"),
        (lambda site: site / "cut.tar", "is cut off"),
        (lambda site: site / "deep.tar", "nested too deep|File name too long|holds no root"),
        (lambda site: site, "holds no root of a machine"),
        (lambda site: Path("/"), "the image store lies in it"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(site: Path, source: Callable[[Path], Path], said: str) -> None:
    os.mkfifo(site / "fifo")
    (site / "cut.tar").write_bytes(forged((member("etc/a"), "x"))[:1024])
    deep = [member("/".join(["etc"] + ["d"] * depth), tarfile.DIRTYPE, mode=0o755) for depth in range(2500)]
    (site / "deep.tar").write_bytes(forged(*((each, "") for each in (*deep, member("usr", tarfile.DIRTYPE)))))
    with pytest.raises(ImagedError, match=said):
        raise run(site, source(site), "--image", "x").exception or AssertionError
    assert left(site) == []
    (log,) = (site / "state/logs").glob("importimage-x-*.log")
    assert log.read_text()


def test_a_disk_needs_the_boot_ramdisk_and_says_so(site: Path, tmp_path: Path) -> None:
    disk = b"\0" * 510 + b"\x55\xaa" + b"\0" * (1 << 20)
    (tmp_path / "disk.raw").write_bytes(disk)
    subprocess.run(("tar", "-C", tmp_path, "-cf", tmp_path / "cloud.tar", "disk.raw"), check=True)
    for name, where in (("disk.raw", f"{tmp_path}/disk.raw"), ("cloud.tar", f"{tmp_path}/cloud.tar, disk.raw")):
        result = run(site, tmp_path / name, "--image", "x")
        assert isinstance(result.exception, ImagedError)
        assert str(result.exception).startswith(where)
        assert "imaged mkramdisk" in str(result.exception)
        assert left(site) == []


# A program in zstd's place: the second time, when it is to unpack, it says so and does not end.
_STUCK = """#!/bin/sh
if [ -e {place}/looked ]; then
  head -c 2000000 {place}/plain
  echo > {place}/reached
  exec sleep 600
fi
: > {place}/looked
exec {zstd} "$@"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ended_in_the_middle_nothing_is_left(site: Path, whole: Path, number: signal.Signals) -> None:
    place = site / "bin"
    place.mkdir()
    with (place / "plain").open("wb") as plain:
        subprocess.run(("zstd", "-dc", whole), stdout=plain, check=True)
    (place / "zstd").write_text(_STUCK.format(place=place, zstd=shutil.which("zstd")))
    (place / "zstd").chmod(0o755)
    os.mkfifo(place / "reached")
    script = "from imaged.cli.main import main; main()"
    argv = ("--settings", str(site / "imaged.yaml"), "importimage", str(whole), "--image", "x")
    child = subprocess.Popen(
        (sys.executable, "-c", script, *argv),
        cwd=_HERE, env={**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with (place / "reached").open() as reached:
            reached.read()
        child.send_signal(number)
        said = child.communicate(timeout=60)[1]
    finally:
        child.kill()
        child.wait()
    assert "Traceback" not in said
    assert child.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}.get(number, 128 + number)
    assert str(site) not in Path("/proc/self/mounts").read_text()
    assert left(site) == ([".working"] if number is signal.SIGKILL else [])
    assert run(site, whole, "--image", "x").exception is None, "and the next one is not in its way"
    assert left(site) == ["1", "channels"]
