"""Programs run with a tree as their root, in namespaces that end with them. What is mounted is never in the tree."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from imaged.model.errors import CommandFailed, Conflict
from imaged.planning.build import contained
from imaged.store.tree import Tree

_RESOLVERS = Path("/etc/resolv.conf")
# What is put where something will be mounted over it; known by content, to be found again after a kill -9.
_NO_RESOLVERS = "# The server's own list is shown here while somebody is inside.\n"
_NO_DAEMONS = "#!/bin/sh\n# No daemon starts in an image.\nexit 101\n"  # README.policy-rc.d of init-system-helpers
_POLICY = "/usr/sbin/policy-rc.d"
_MOUNT_POINTS = {"/proc": 0o555, "/sys": 0o555, "/dev": 0o755, "/run": 0o755, "/tmp": 0o1777}

# Constant: every name travels as an argument. A /dev of its own, as containers have: no package script finds the
# server's disks (Debian's grub-pc would write to them). /dev/pts is the server's, so that ttyname(3) finds our
# terminal. The host name and the kernel's command line are nobody's, or package scripts would write the server's into
# the image.
# The shell stays as the first process: a program in its place would be deaf to Ctrl-C (pid_namespaces(7)).
_SURROUND = r"""set -e
proc=$1 sys=$2 dev=$3 run=$4 tmp=$5 resolv=$6 policy=$7; shift 7
mount -t proc -o nosuid,nodev,noexec proc "$proc"
mount --bind /dev/null "$proc/cmdline"
if [ "$sys" ]; then
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$sys"
fi
mount -t tmpfs -o mode=0755,nosuid tmpfs "$dev"
mkdir "$dev/pts"
mkdir -m 1777 "$dev/shm"
for node in null zero full random urandom tty; do
  : > "$dev/$node"
  mount --bind "/dev/$node" "$dev/$node"
done
mount --bind /dev/pts "$dev/pts"
mknod -m 0666 "$dev/ptmx" c 5 2
ln -s /proc/self/fd "$dev/fd"
ln -s fd/0 "$dev/stdin"
ln -s fd/1 "$dev/stdout"
ln -s fd/2 "$dev/stderr"
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$run"
mkdir -m 1777 "$run/lock"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$tmp"
case $resolv in
  "$run"/*)
    mkdir -p "${resolv%/*}"
    : > "$resolv"
esac
if [ -e "$resolv" ]; then
  mount --bind -o ro /etc/resolv.conf "$resolv"
fi
if [ "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$run/policy-rc.d"
  chmod 0755 "$run/policy-rc.d"
  mount --bind "$run/policy-rc.d" "$policy"
fi
echo localhost > /proc/sys/kernel/hostname
env -i ${http_proxy+"http_proxy=$http_proxy"} ${https_proxy+"https_proxy=$https_proxy"} \
  ${ftp_proxy+"ftp_proxy=$ftp_proxy"} ${no_proxy+"no_proxy=$no_proxy"} "$@" || exit $?
"""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_OFFLINE": "1",  # systemctl(1) then enables and disables, and starts nothing
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "LANG": "C.UTF-8",
}
_FROM_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "DEBIAN_FRONTEND")
_TERMINFO = ("/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo")


@contextmanager
def surroundings(tree: Tree) -> Iterator[None]:
    """Mount points for ``inside`` and ``beside``; what had to be made for them is gone from the tree afterwards.

    Raises Conflict when something other than a directory is where /proc, /dev and so on belong.
    """
    tidy(tree)
    for path, mode in _MOUNT_POINTS.items():
        at = _directory(tree, path, mode)
        if at is None or not at.is_dir():
            raise Conflict("is no directory, so that nothing can be mounted there", where=path)
    if tree.exists("/usr/bin/dpkg"):
        _place(tree, _POLICY, _NO_DAEMONS, 0o755)
    if _RESOLVERS.exists():
        _place(tree, "/etc/resolv.conf", _NO_RESOLVERS, 0o644)
    try:
        yield
    finally:
        tidy(tree)


def tidy(tree: Tree) -> None:
    """Remove what ``surroundings`` made and a kill -9 left."""
    for path, content in ((_POLICY, _NO_DAEMONS), ("/etc/resolv.conf", _NO_RESOLVERS)):
        at = tree.locate(path)
        if at is not None and at.is_file() and at.stat().st_size == len(content) and at.read_text() == content:
            with _same_time(at.parent):
                at.unlink()


def inside(tree: Tree, argv: Sequence[str], env: Mapping[str, str] = ENVIRONMENT) -> tuple[str, ...]:
    """``argv`` with ``tree`` as its root: its own /proc, /sys, /dev, /run and /tmp, and our resolvers.

    Valid within ``surroundings``. However it ends, or we do, its mounts and everything that it started end with it.
    """
    points = [_at(tree, path) for path in _MOUNT_POINTS]
    resolvers = _at(tree, "/etc/resolv.conf") if _RESOLVERS.exists() else ""
    policy = _at(tree, _POLICY) if tree.exists(_POLICY) else ""
    return _surrounded((*points, resolvers, policy), env, ("chroot", str(tree.root), *argv))


def beside(tree: Tree, argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """``argv`` with our own root, while ``tree`` has its mounts: package tools that work from outside.

    No /sys: rpm sets the modes of all directories that a package has, and that one's is not to be set.
    """
    points = ["" if path == "/sys" else _at(tree, path) for path in _MOUNT_POINTS]
    return _surrounded((*points, "", ""), env, argv)


def shell(tree: Tree) -> tuple[str, ...]:
    """The login shell that the tree has for a person."""
    return ("/bin/bash", "--login") if tree.exists("/bin/bash") else ("/bin/sh", "-l")


def for_terminal(tree: Tree, name: str) -> dict[str, str]:
    """The environment of somebody at our terminal; ``name`` shows in the prompt."""
    told = {key: os.environ[key] for key in _FROM_TERMINAL if key in os.environ}
    term = told.get("TERM", "dumb")
    if not any(tree.exists(f"{place}/{term[:1]}/{term}") for place in _TERMINFO):
        told["TERM"] = "linux" if term != "dumb" else term  # newer than the image knows
    if not sys.stdin.isatty():
        told.setdefault("DEBIAN_FRONTEND", "noninteractive")
    # After the image's own profile has had its say; other shells than bash read PS1 only.
    prompt = f'PS1="({name}) ${{PS1#({name}) }}"'
    return {**ENVIRONMENT, **told, "PS1": f"({name}) # ", "PROMPT_COMMAND": prompt}


def _surrounded(mounts: Sequence[str], env: Mapping[str, str], argv: Sequence[str]) -> tuple[str, ...]:
    pairs = (f"{key}={value}" for key, value in env.items())
    return contained(("sh", "-c", _SURROUND, "enter", *mounts, *pairs, *argv))


def _at(tree: Tree, path: str) -> str:
    return str(tree.locate(path) or "")


def _directory(tree: Tree, path: str, mode: int) -> Path | None:
    at = tree.locate(path)
    if at is not None and not at.exists():
        at.mkdir(parents=True)
        at.chmod(mode)
    return at


def _place(tree: Tree, path: str, content: str, mode: int) -> None:
    """A mount point, where the tree has nothing. Not below /run and /tmp: those will be others."""
    at = tree.locate(path)
    if at is None:
        raise CommandFailed("the links on the way lead in a circle", where=path)
    hidden = any(at.is_relative_to(point) for name in _MOUNT_POINTS if (point := tree.locate(name)))
    if at.exists() or hidden or not at.parent.is_dir():
        return
    with _same_time(at.parent):
        at.write_text(content)
        at.chmod(mode)


@contextmanager
def _same_time(directory: Path) -> Iterator[None]:
    """A name that comes and goes leaves no trace in the directory's own time, which is part of a version."""
    before = directory.stat()
    yield
    os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
