"""A file tree that is some machine's root, seen from outside: every symbolic link is followed as that machine would."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from attrs import frozen

_MOST_LINKS = 40  # the kernel's own limit, path_resolution(7)


@frozen
class Tree:
    """``root`` is the tree's directory here; all other paths are the machine's (``/etc/fstab``)."""

    root: Path

    def locate(self, path: str, *, follow: bool = True) -> Path | None:
        """Where ``path`` is here, whether or not anything is there; None for a loop of links.

        Links are followed inside the tree, as chroot(2) would: an absolute one starts at ``root``, and ``..`` stops
        there. With ``follow`` False the last component may itself be a link (lstat's view).
        """
        todo = _parts(path)
        here: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                here = here[:-1]
                continue
            at = self.root.joinpath(*here, part)
            if (not todo and not follow) or not at.is_symlink():
                here.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            target = str(at.readlink())
            here = [] if target.startswith("/") else here
            todo += _parts(target)
        return self.root.joinpath(*here)

    def exists(self, path: str) -> bool:
        """Whether something is there once links are followed."""
        at = self.locate(path)
        return at is not None and at.exists()

    def names(self, path: str) -> tuple[str, ...]:
        """Sorted names in a directory; none when it is not there."""
        at = self.locate(path)
        return tuple(sorted(entry.name for entry in at.iterdir())) if at and at.is_dir() else ()

    def text(self, path: str, limit: int = 1 << 20) -> str:
        """At most ``limit`` bytes of a regular file; empty when it is not there."""
        at = self.locate(path)
        if at is None or not at.is_file():
            return ""
        with at.open("rb") as file:
            return file.read(limit).decode("utf-8", "replace")

    def glob(self, pattern: str) -> Iterator[Path]:
        """What an anchored pattern such as ``/etc/ssh/ssh_host_*`` names, without following a link at its end."""
        names = [""]
        for part in PurePosixPath(pattern).parts[1:]:
            names = [f"{name}/{found}" for name in names for found in self._matching(name or "/", part)]
        for name in names:
            at = self.locate(name, follow=False)
            if at is not None:
                yield at

    def _matching(self, directory: str, part: str) -> tuple[str, ...]:
        if not any(sign in part for sign in "*?["):
            at = self.locate(f"{directory}/{part}", follow=False)
            return (part,) if at is not None and (at.exists() or at.is_symlink()) else ()
        return tuple(fnmatch.filter(self.names(directory), part))


def _parts(path: str) -> list[str]:
    """Components still to walk, the next one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
