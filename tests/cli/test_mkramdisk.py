"""``imaged mkramdisk`` as a person meets it: what it says, its exit codes, and that a failure loses nothing."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from imaged.cli.mkramdisk import summary
from imaged.ramdisk import toolset
from imaged.ramdisk.build import Ramdisk, Result
from imaged.ramdisk.kernel import KernelChoice
from imaged.ramdisk.trees import DEFAULT_CACHE

CACHE = Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE)
RECIPES = (toolset.recipe(), KernelChoice.parse("debian", arch="x86_64").recipe())
READY = os.geteuid() == 0 and all((CACHE / recipe.key).is_dir() for recipe in RECIPES)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_cache = pytest.mark.skipif(not READY, reason="needs root and the packages that `imaged mkramdisk` has fetched")
IMAGED = (sys.executable, "-c", "from imaged.cli.main import main; main()")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "imaged.yaml").write_text(f"address: 127.0.0.1\nstate: {tmp_path}\n")
    return tmp_path


def mkramdisk(site: Path, *args: str, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    argv = (*prefix, *IMAGED, "--settings", str(site / "imaged.yaml"), "mkramdisk", *args)
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], env={**os.environ, **env}
    )


REFUSED = {
    "no such word": (("--kernel", "6.1.0"), 2, "'6.1.0' names no kernel"),
    "no such package name": (("--kernel", "debian:Linux"), 2, "'Linux' is not a package name"),
    "no such tree": (("--kernel", "/no/such"), 3, "/no/such: no such directory"),
    "no such .deb": (("--kernel", "./no.deb"), 3, "no such file"),
    "no such image": (("--kernel", "image:compute@3"), 3, "there is no image 'compute'"),
    "firmware of the host": (("--kernel", "host", "--firmware"), 2, "--firmware goes with --kernel debian only"),
}


@needs_cache
@pytest.mark.parametrize("case", REFUSED)
def test_refused(site: Path, case: str) -> None:
    args, code, said = REFUSED[case]
    done = mkramdisk(site, *args)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr
    assert not (site / "boot/ramdisk").exists()


@needs_cache
def test_a_file_that_is_no_package(site: Path) -> None:
    (site / "kernel.deb").write_text("hello")
    done = mkramdisk(site, "--kernel", str(site / "kernel.deb"))
    assert done.returncode == 7
    assert done.stderr.startswith("imaged: dpkg-deb --extract")


@needs_root
def test_a_cache_that_cannot_be(site: Path) -> None:
    done = mkramdisk(site, IMAGED_CACHE=str(site / "imaged.yaml" / "cache"))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "cannot keep a cache: Not a directory" in done.stderr


@needs_cache
def test_a_full_disk_loses_nothing(site: Path) -> None:
    """A boot directory of 20 MiB, in a mount namespace of its own."""
    boot = site / "boot"
    boot.mkdir()
    script = (
        'mount -t tmpfs -o size=20m tmpfs "$0"; mkdir -p "$0/ramdisk/x86_64"; echo old > "$0/ramdisk/x86_64/vmlinuz"\n'
        '"$@"; code=$?; find "$0/ramdisk" -mindepth 1 | sed "s|$0/||" | sort; exit $code'
    )
    done = mkramdisk(site, prefix=("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(boot)))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "No space left on device" in done.stderr
    assert done.stdout.splitlines()[-2:] == ["ramdisk/x86_64", "ramdisk/x86_64/vmlinuz"]


@needs_cache
def test_built_then_unchanged(site: Path) -> None:
    first, second = mkramdisk(site), mkramdisk(site)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    with sqlite3.connect(site / "imaged.sqlite") as database:
        assert database.execute("SELECT what, subject FROM events").fetchall() == [("ramdisk built", "x86_64")]
    assert f"{site}/boot/ramdisk/x86_64: built in" in first.stdout
    assert f"{site}/boot/ramdisk/x86_64: unchanged since" in second.stdout
    assert (site / "boot/loaders/undionly.kpxe").stat().st_size > 50_000
    for name in ("loaders/snponly.efi", "memtest/memtest86+x64.efi"):
        assert (site / "boot" / name).read_bytes()[:2] == b"MZ"  # a PE program
    assert (site / "boot/memtest/memtest86+x64.bin").read_bytes()[0x202:0x206] == b"HdrS"  # Linux' boot protocol


def test_what_is_said_at_the_end() -> None:
    ramdisk = Ramdisk(
        "x86_64", "6.1.0-56-amd64", "debian:linux-image-amd64", "2026-11-21T03:34:02+00:00", 8 << 20, 43 << 20,
        160 << 20, "zstd", "abc",
    )  # fmt: skip
    result = Result(ramdisk, Path("/srv/boot/ramdisk/x86_64"), True, ("undionly.kpxe", "shimx64.efi"))
    assert summary(result, 61.4).splitlines() == [
        "/srv/boot/ramdisk/x86_64: built in 61 s",
        "kernel 6.1.0-56-amd64 from debian:linux-image-amd64, 8 MiB",
        "ramdisk 43 MiB (zstd), 160 MiB unpacked",
        "boot loaders: undionly.kpxe, shimx64.efi",
    ]
