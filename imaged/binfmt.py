"""Whether this kernel starts programs of another processor (Linux: admin-guide/binfmt-misc.rst)."""

import platform
from pathlib import Path

from imaged.model.errors import CommandFailed

_REGISTERED = Path("/proc/sys/fs/binfmt_misc")


def check_runs(arch: str, registered: Path = _REGISTERED) -> None:
    """Raises CommandFailed where programs for ``arch`` (uname -m) cannot be started."""
    if arch != platform.machine() and not (registered / f"qemu-{arch}").exists():
        hint = (
            "Install qemu-user-static, binfmt-support and arch-test; in a container, on its host. Where"
            f" {registered} is empty: `mount -t binfmt_misc none {registered}; update-binfmts --enable`."
        )
        raise CommandFailed(f"programs for {arch} cannot be started on this {platform.machine()} machine", hint=hint)
