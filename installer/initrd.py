"""Whether an initramfs can find the root: read back by the image's own program, in its own tree."""

import re
from pathlib import Path

from imaged.model.errors import ImagedError
from imaged.model.plan import CheckInitrd, RunInTarget
from installer.chroot import run_in_target
from installer.process import Run
from installer.tree import inside

_MODULE = re.compile(r"([\w-]+)\.ko\b")


def check_initrd(step: CheckInitrd, root: Path, run: Run) -> None:
    """Raises ImagedError that names what is missing."""
    listed = run_in_target(RunInTarget((step.lister, step.path)), root, run).output
    builtin = inside(root, f"/lib/modules/{step.kernel}/modules.builtin")
    there = modules(listed) | modules(builtin.read_text() if builtin.is_file() else "")
    missing = [" or ".join(each) for each in step.modules if not there & set(each)]
    if missing:
        raise ImagedError(f"has no {', no '.join(missing)}", where=step.path, hint=step.reason)


def modules(listing: str) -> set[str]:
    """Names of kernel modules in a list of files, however compressed; ``-`` and ``_`` are one to modprobe(8)."""
    return {name.replace("-", "_") for name in _MODULE.findall(listing)}
