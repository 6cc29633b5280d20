"""``--full``: plain rsync of everything, for nodes whose state nobody trusts. Rules and arguments only. Pure."""

from typing import Iterable, Tuple

_WILD = b"*?["
_COMMON = (
    "rsync", "-aHAXS", "--numeric-ids", "--timeout=300", "--delay-updates", "--partial-dir=.imaged-partial", "--from0",
)  # fmt: skip


def argv(source: str, root: str, delete: bool, checksum: bool, directory: str = "") -> Tuple[str, ...]:
    """rsync(1) as in an install. The rules come by standard input, NUL-ended: a name may hold a newline.

    With --delete-delay nothing goes before everything has come; --delay-updates does the same for what changes.
    """
    options: Tuple[str, ...] = ("--delete-delay",) if delete else ()
    options += ("--ignore-times",) if checksum else ()
    below = directory.strip("/")
    place = "{}/{}/".format(root.rstrip("/"), below) if below else "{}/".format(root.rstrip("/"))
    return _COMMON + options + ("--filter=merge -", source + (below + "/" if below else ""), place)


def laid(source: str, root: str, checksum: bool) -> Tuple[str, ...]:
    """rsync(1) of files of overrides, whose names come by standard input. Their directories only say where they go: the
    image's own keep their owners and modes."""
    options = ("--ignore-times",) if checksum else ()
    return _COMMON + options + ("--no-implied-dirs", "--files-from=-", source, "{}/".format(root.rstrip("/")))


def rules(
    patterns: Iterable[str], paths: Iterable[bytes], mounts: Iterable[bytes], kept: Iterable[str], directory: str = ""
) -> bytes:
    """What rsync leaves alone: protected ``patterns``, ``paths`` of overrides and fixups, what is in ``mounts``, and
    (only against deletion) everything of the ``kept`` kernels. All anchored at the root, which ``directory`` moves."""
    below = b"/" + directory.strip("/").encode("utf-8", "surrogateescape") if directory.strip("/") else b""
    lines = [b"- " + _moved(_pattern(each), below) for each in patterns]
    lines += [b"- " + _moved(literal(b"/" + each), below) for each in paths]
    lines += [b"- " + _moved(literal(b"/" + each), below) for each in mounts]  # the point too is what is mounted
    for version in kept:
        name = literal(version.encode("utf-8", "surrogateescape"))
        for path in (
            b"/boot/*-" + name,
            b"/boot/*-" + name + b".*",
            b"/lib/modules/" + name,
            b"/usr/lib/modules/" + name,
        ):
            lines.append(b"P " + _moved(path, below))
            lines.append(b"P " + _moved(path + b"/**", below))
    return b"".join(line + b"\0" for line in lines if line[2:])


def _pattern(text: str) -> bytes:
    """A plan's pattern in rsync's words: they agree but for a directory's contents."""
    raw = text.encode("utf-8", "surrogateescape")
    return raw + b"*" if raw.endswith(b"/") else raw


def _moved(pattern: bytes, below: bytes) -> bytes:
    """Anchored at ``below``; empty for what lies elsewhere. A pattern with wildcards before that is kept unmoved."""
    if not below:
        return pattern
    return pattern[len(below) :] if pattern.startswith(below + b"/") else b""


def literal(path: bytes) -> bytes:
    """A path as a pattern: in rsync a backslash escapes only where there is a wildcard to escape."""
    if not any(sign in path for sign in _WILD):
        return path
    return b"".join(
        b"\\" + letter if letter in b"*?[\\" else letter for letter in (path[i : i + 1] for i in range(len(path)))
    )
