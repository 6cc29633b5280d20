"""One update in a process of its own: ``run_update.py BASE DIE_AT``. At the DIE_AT-th thing that it does to the world,
as the interpreter's audit hook tells (PEP 578), it kills itself with SIGKILL; 0: never. Prints how many there were."""

import os
import signal
import sys
from pathlib import Path

from installer.node.fetch import Source
from installer.node.known import Known
from installer.node.site import Site
from installer.node.stamps import Stamps
from installer.node.update import Options, update

_CHANGES = frozenset(
    ("os.rename", "os.mkdir", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.utime",
     "os.setxattr", "os.removexattr", "os.truncate", "subprocess.Popen")
)  # fmt: skip


def main(base: Path, die_at: int) -> None:
    done = [0]

    def hook(event: str, arguments: object) -> None:
        if event in _CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):  # type: ignore[index]
            done[0] += 1
            if done[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    root, manifest = base / "node", base / "manifest"
    fixup = {"step": {"step": "WriteFile", "path": "/etc/seen", "content": "x", "mode": "0644"}, "when": ["/usr/bin/"]}
    plan = {"serial": "s", "image": "c@1", "fixups": [fixup], "merge": ["/etc/passwd"]}
    site = Site(
        str(root), str(root / "var/lib/imaged"), "", lambda line: None, lambda *words: None, lambda seconds: None
    )
    known = Known(str(manifest), "", Stamps.blank(len(manifest.read_bytes().splitlines())), False)
    source = Source({"image": f"{base}/image/", "overrides": f"{base}/none/"}, {})
    sys.addaudithook(hook)
    update(site, plan, known, source, Options())
    print(done[0])  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
