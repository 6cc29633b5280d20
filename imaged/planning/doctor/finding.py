"""A finding, and what could be done about it, as data: what may be mended without harm is one of these."""

from collections.abc import Mapping
from enum import Enum

from attrs import frozen


class Level(Enum):
    """How bad it is. ``note``: nothing is wrong with it, or it could not be looked at."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@frozen
class SetMode:
    """chmod(2) of a file or directory."""

    path: str
    mode: int

    def __str__(self) -> str:
        return f"chmod {self.mode:04o} {self.path}"


@frozen
class MakeDirectory:
    """One that the server needs."""

    path: str
    mode: int = 0o755

    def __str__(self) -> str:
        return f"mkdir {self.path}"


@frozen
class RemoveTree:
    """What a build or removal that was broken off left in the directory of ``image``; nobody works in it."""

    path: str
    image: str

    def __str__(self) -> str:
        return f"remove {self.path}"


@frozen
class RemoveOrphans:
    """Rows of a table that belong to rows that are gone."""

    table: str
    count: int

    def __str__(self) -> str:
        return f"remove {self.count} orphans from the table {self.table}"


@frozen
class MakeRamdisk:
    """As `imaged mkramdisk --arch ARCH --kernel KERNEL` does."""

    arch: str
    kernel: str

    def __str__(self) -> str:
        return f"imaged mkramdisk --arch {self.arch} --kernel {self.kernel}"


Mend = SetMode | MakeDirectory | RemoveTree | RemoveOrphans | MakeRamdisk
ASKED_FOR = (RemoveTree, RemoveOrphans)  # what is gone then is gone: a person says yes first


@frozen
class Finding:
    """``check`` is what was looked at, ``where`` the file, key, port or name, ``todo`` what helps. ``mend``: what
    ``--repair`` would do."""

    level: Level
    check: str
    what: str
    where: str = ""
    todo: str = ""
    mend: Mend | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@frozen
class Told:
    """A finding, for programs. ``repair``: what would mend it, null: nothing that may be done unasked; ``repaired``:
    what came of that, null: it was not tried."""

    level: Level
    check: str
    what: str
    where: str
    todo: str
    repair: str | None = None
    repaired: str | None = None


def told(finding: Finding, done: Mapping[str, str]) -> Told:
    """``done`` is what came of each mend."""
    mend = str(finding.mend) if finding.mend else None
    return Told(
        finding.level, finding.check, finding.what, finding.where, finding.todo, mend, done.get(mend) if mend else None
    )


@frozen
class Voice:
    """Makes the findings of one check."""

    check: str

    def ok(self, what: str, where: str = "") -> Finding:
        """All is well."""
        return Finding(Level.OK, self.check, what, where)

    def note(self, what: str, where: str = "", todo: str = "", mend: Mend | None = None) -> Finding:
        """Worth knowing."""
        return Finding(Level.NOTE, self.check, what, where, todo, mend)

    def warning(self, what: str, where: str = "", todo: str = "", mend: Mend | None = None) -> Finding:
        """Something will not work, or not well."""
        return Finding(Level.WARNING, self.check, what, where, todo, mend)

    def error(self, what: str, where: str = "", todo: str = "", mend: Mend | None = None) -> Finding:
        """Something does not work."""
        return Finding(Level.ERROR, self.check, what, where, todo, mend)
