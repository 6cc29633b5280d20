"""Runs programs inside a tree of packages, as its root, with directories of ours mounted there meanwhile."""

import shlex
from pathlib import Path

from attrs import frozen

from imaged.model.errors import CommandFailed
from imaged.process import run


@frozen
class Bind:
    """A directory of ours shown inside a tree, at a path (without the leading slash) that exists there."""

    source: Path
    at: str
    writable: bool = False


# Constant: every name travels as an argument. The mounts live and die with the namespace of `unshare`.
_ENTER = """set -e
tree=$1; shift
mount -t proc proc "$tree/proc"
mount -t sysfs -o ro sysfs "$tree/sys"
mount --rbind /dev "$tree/dev"
while [ "$1" != -- ]; do mount --bind -o "$1" "$2" "$tree/$3"; shift 3; done
shift
exec chroot "$tree" "$@"
"""


def inside_argv(tree: Path, argv: tuple[str, ...], binds: tuple[Bind, ...] = ()) -> tuple[str, ...]:
    """``argv`` run in ``tree`` as its root, with ``binds`` mounted for as long as it runs."""
    mounts = [word for bind in binds for word in ("rw" if bind.writable else "ro", str(bind.source), bind.at)]
    return (
        "unshare", "--mount", "--propagation", "private", "--",
        "sh", "-c", _ENTER, "enter", str(tree), *mounts, "--", *argv,
    )  # fmt: skip


def run_inside(tree: Path, argv: tuple[str, ...], binds: tuple[Bind, ...] = ()) -> str:
    """Run a program of ``tree`` in it; returns what it printed. Missing mount points are made. Raises CommandFailed."""
    for bind in binds:
        (tree / bind.at).mkdir(parents=True, exist_ok=True)
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": "", "TMPDIR": "/tmp"}
    try:
        return run(inside_argv(tree, argv, binds), env=clean).output
    except CommandFailed as error:  # people know the program, not how it was entered
        raise CommandFailed(error.what, where=shlex.join(argv), hint=error.hint) from None
