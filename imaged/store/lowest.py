"""The lowest layer of overrides: what this server itself gives every node. Made here, found nowhere on a disk."""

import hashlib
from functools import cache

from attrs import frozen

from imaged.store.nodeagent import node_agent
from imaged.store.paths import shipped

# A constant, so that the same bytes make the same manifest on every server: 2026-01-01T00:00:00Z.
TIME = 1_767_225_600 * 10**9
_TEXTS = (
    ("imaged-update.service", "usr/lib/systemd/system/imaged-update.service"),
    ("imaged-update.timer", "usr/lib/systemd/system/imaged-update.timer"),
    ("imaged-state@.service", "usr/lib/systemd/system/imaged-state@.service"),
    ("imaged-daily.timer", "usr/lib/systemd/system/imaged-daily.timer"),
    ("cron.d-example", "usr/share/imaged/cron.d-example"),
)
_PROGRAMS = (("run-state", "usr/lib/imaged/run-state"),)
_AGENT = "usr/lib/imaged/imaged.pyz"
_COMMAND = "usr/sbin/imaged"


@frozen
class Given:
    """A file of ours with its ``content``, or with ``target`` a symbolic link. Owned by root."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    target: str = ""


@cache
def files() -> tuple[Given, ...]:
    """Made once: they change with the program only."""
    given = ((0o644, _TEXTS), (0o755, _PROGRAMS))
    texts = tuple(
        Given(path, shipped("autoinstall_scripts", "node", name).read_bytes(), mode)
        for mode, files in given
        for name, path in files
    )
    return (*texts, Given(_AGENT, node_agent(), 0o755), Given(_COMMAND, mode=0o777, target=f"/{_AGENT}"))


@cache
def fingerprint() -> str:
    """Changes when any of the files does."""
    return hashlib.sha256(repr(files()).encode()).hexdigest()[:16]
