"""The real rsync service beside a test: its own process, gone with the context however that ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def rsync_service(base: Path) -> Iterator[int]:
    """Serves ``base``/tree and ``base``/overrides to n0 ... n99, whose secret is ``s``. Gives its port."""
    command = (sys.executable, str(ROOT / "tests/daemon/serve_rsync.py"), str(base), "2")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdin and child.stdout
        try:
            yield int(child.stdout.readline())
        finally:
            child.stdin.close()
