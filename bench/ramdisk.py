"""The boot ramdisk: its size packed and unpacked, and the time from the kernel's start to the agent's.

    python bench/ramdisk.py --state DIR [--runs 3] [--peer]

Boots it in QEMU without firmware or boot loader (TCG, 2 processors, 2 GiB, virtio NIC, NVMe disk); the seconds are the
guest's own uptime. On a busy host they mean little, so the processor seconds that QEMU used are told beside them.
The peer is dracut's own generic ramdisk (every module it would choose itself) of the same kernel, from the same tree of
packages, packed the same way: it has no Python, rsync, mkfs or partitioner. Prints rows for the table of results.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imaged.model.boot import RAMDISK_DIR
from imaged.model.size import format_size
from imaged.ramdisk import toolset
from imaged.ramdisk.build import read_ramdisk
from imaged.ramdisk.enter import Bind, run_inside
from imaged.ramdisk.kernel import KernelChoice, find_kernel
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache

PATIENCE = 300  # seconds until a boot counts as failed
AGENT = re.compile(rb"imaged: agent at ([0-9.]+) s")
MAC = "52:54:00:12:34:56"


def qemu_argv(ramdisk: Path, disk: Path, console: Path) -> tuple[str, ...]:
    """A machine that starts the kernel at once."""
    return (
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-smp", "2", "-m", "2048",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{console}",
        "-kernel", str(ramdisk / "vmlinuz"), "-initrd", str(ramdisk / "initrd.img"),
        "-append", f"console=ttyS0 rdinit=/sbin/imaged-init BOOTIF=01-{MAC.replace(':', '-')}",
        "-netdev", "user,id=n", "-device", f"virtio-net-pci,netdev=n,mac={MAC},romfile=",
        "-drive", f"file={disk},if=none,id=d,format=raw,cache=unsafe", "-device", "nvme,drive=d,serial=bench",
    )  # fmt: skip


def boot_once(ramdisk: Path, scratch: Path) -> tuple[float, float]:
    """Guest seconds to the agent, and processor seconds of QEMU until then."""
    disk, console = scratch / "disk", scratch / "console"
    with disk.open("wb") as file:
        file.truncate(1 << 30)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    machine = subprocess.Popen(qemu_argv(ramdisk, disk, console), stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and machine.poll() is None:
            found = AGENT.search(console.read_bytes()) if console.exists() else None
            if found:
                break
            time.sleep(0.2)
        else:
            raise SystemExit(f"no agent: see the end of the console\n{console.read_text(errors='replace')[-2000:]}")
    finally:
        machine.kill()
        machine.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    console.unlink()
    return float(found[1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peer_sizes(source: str, arch: str, scratch: Path) -> tuple[int, int]:
    """Packed and unpacked bytes of dracut's own generic ramdisk, of the kernel that ours was made of."""
    word, _, package = source.partition(":")
    cache = Cache(Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE))
    tools = cache.root / toolset.recipe().key
    tree = cache.root / KernelChoice.parse(f"{word}:{package}", arch=arch).recipe().key
    if word != "debian" or not tools.is_dir() or not tree.is_dir():
        raise SystemExit("--peer needs a ramdisk of Debian's kernel and the cache it was built from")
    kernel = find_kernel(tree)
    binds = (Bind(scratch, "mnt/output", writable=True), Bind(kernel.modules.parent, "usr/lib/modules"))
    run_inside(
        tools, ("dracut", "--force", "--quiet", "--kver", kernel.version, "--no-hostonly", "--no-early-microcode",
                "--nostrip", "--no-compress", "--tmpdir", "/mnt/output", "/mnt/output/peer.cpio"), binds,
    )  # fmt: skip
    run_inside(tools, toolset.compress_argv(kernel.compression(), "/mnt/output/peer.cpio"), binds)
    return (scratch / "peer.cpio.packed").stat().st_size, (scratch / "peer.cpio").stat().st_size


def main() -> int:
    """One row of ours, one of the peer's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    path = options.state / "boot" / RAMDISK_DIR / os.uname().machine
    facts = read_ramdisk(path)
    if facts is None:
        parser.error(f"{path} has no ramdisk; make one with `imaged mkramdisk`")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        scratch = Path(name)
        runs = [boot_once(path, scratch) for _ in range(options.runs)]
        guest, spent = (statistics.median(column) for column in zip(*runs, strict=True))
        rows = [
            "| ramdisk | kernel | packed | unpacked | kernel start to agent | best | processor | runs | load |",
            "|---|---|---|---|---|---|---|---|---|",
            f"| ours | {facts.kernel} | {format_size(facts.initrd)} | {format_size(facts.unpacked)} | {guest:.1f} s"
            f" | {min(run[0] for run in runs):.1f} s | {spent:.0f} s | {options.runs} | {os.getloadavg()[0]:.1f} |",
        ]
        if options.peer:
            packed, unpacked = peer_sizes(facts.source, facts.arch, scratch)
            rows.append(
                f"| dracut's own | {facts.kernel} | {format_size(packed)} | {format_size(unpacked)} | | | | | |"
            )
        sys.stdout.write("\n".join(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
