"""The disk phase of an install (wipe, table, filesystems, mounts) against a shell script of the same commands.

    python bench/disks.py --state DIR [--pairs 5]

DIR is a state directory with the image ``debian-12`` and a ramdisk, as `make demo` leaves one. Both in one guest, in
turn, on the same disk with what the one before left on it; layout ``one-disk``. The script is wipefs, sfdisk, and mkfs
and mount by the very command lines that ours ran. Seconds are the guest's. Prints a row for the table of results; exit
code 1 when the median ratio is above the target of 1.5. Needs root and QEMU.
"""

import argparse
import re
import signal
import statistics
import sys
import tempfile
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

from guest import make_site, say, spread

from imaged.model.errors import ImagedError
from imaged.model.settings import Settings
from imaged.rehearsal.machine import MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.paths import State

TARGET = 1.5
AGENT = Path(__file__).parent / "disks_agent"
NODE = "bench01"
_FIGURE = re.compile(r" bench: (ours|peer) ([\d.]+) s, (\d+) mounts$", re.MULTILINE)


def measure(site: State, scratch: Path, pairs: int) -> list[tuple[str, float, int]]:
    """(side, seconds, mounts), ours and peer in turn. Raises ImagedError with what went wrong in the guest."""
    with Rehearsal(Settings(IPv4Address("127.0.0.1"), state=PurePosixPath(site.root)), logs=scratch / "logs") as r:
        r.start_daemon()
        r.machine(NODE, MachineSpec(), image="debian-12").power_on()
        log = r.state.logs / f"{NODE}.log"

        def runs() -> list[tuple[str, float, int]]:
            found = _FIGURE.findall(log.read_text()) if log.exists() else []
            return [(side, float(seconds), int(mounts)) for side, seconds, mounts in found]

        r.watch(lambda _: len(runs()) >= 2 * pairs, lambda _: None, timeout=1800)
        return runs()[: 2 * pairs]


def main() -> int:
    """The row of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwind: the machine, its network and the scratch go
    try:
        with tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/var/tmp") as scratch:
            site = State(Path(scratch) / "site")
            make_site(State(options.state.resolve()), site, Path(scratch), AGENT)
            runs = measure(site, Path(scratch), options.pairs)
    except ImagedError as error:
        parser.exit(error.exit_code, f"{error}\n")
    for side, seconds, mounts in runs:
        say(f"{side}: {seconds:.2f} s, {mounts} mounts")
    if len({mounts for _, _, mounts in runs}) != 1:
        parser.exit(1, "the two did not do the same\n")
    ours, peer = ([seconds for each, seconds, _ in runs if each == side] for side in ("ours", "peer"))
    ratios = [mine / other for mine, other in zip(ours, peer, strict=True)]
    print("| what | pairs | ours, s | script, s | ratio (of pairs) | target |\n|---|---|---|---|---|---|")
    print(f"| disks | {len(ratios)} | {spread(ours, 2)} | {spread(peer, 2)} | {spread(ratios, 2)} | {TARGET} |")
    return int(statistics.median(ratios) > TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
