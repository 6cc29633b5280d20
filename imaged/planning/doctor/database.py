"""Whether the database is whole, of this program's time, and without rows that belong to nothing."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from imaged.planning.doctor.finding import Finding, RemoveOrphans, Voice

_SAY = Voice("database")
_BROKEN = (
    "Stop the daemon, keep a copy of the file, and restore a backup; `sqlite3 FILE .recover` saves what can be read."
)
_SERVER = "Look whether the server runs and lets this user in (psql); docs/database.md."


@frozen
class Database:
    """What was found. ``fault``: why it could not be read at all; ``damage`` are the lines of SQLite's own check.

    ``schema`` None: it says none. ``missing`` are columns that it does not have yet, ``orphans`` rows by table.
    """

    path: str
    server: bool = False
    there: bool = True
    hidden: bool = False
    fault: str = ""
    damage: tuple[str, ...] = ()
    schema: str | None = None
    missing: tuple[str, ...] = ()
    orphans: Mapping[str, int] = field(factory=dict)


def findings(found: Database, schema: str) -> Iterator[Finding]:
    """``schema`` is the one that this program knows."""
    if not found.there:
        yield _SAY.note("is not there yet", found.path, "`imaged serve` or the first verb that needs it makes it.")
    elif found.hidden:
        yield _SAY.note("could not be read", found.path, "Run this as root.")
    elif found.fault:
        yield _SAY.error(found.fault, found.path, _SERVER if found.server else _BROKEN)
    elif found.server and found.schema is None:
        yield _SAY.note("is empty", found.path, "`imaged serve` or the first verb that needs it fills it.")
    elif found.damage:
        more = f" (and {len(found.damage) - 1} faults more)" if len(found.damage) > 1 else ""
        yield _SAY.error(f"is damaged: {found.damage[0]}{more}", found.path, _BROKEN)
    elif found.schema != schema:
        todo = "Run the version of imaged that wrote it."
        yield _SAY.error(f"has schema {found.schema}, this program knows {schema}", found.path, todo)
    else:
        yield from _whole(found)


def _whole(found: Database) -> Iterator[Finding]:
    if found.missing:
        what = f"is of an earlier release: {len(found.missing)} columns or tables are missing"
        yield _SAY.note(what, found.path, "`imaged serve` adds them when it starts.")
    for table, count in sorted(found.orphans.items()):
        what = f"{count} rows of {table} belong to rows that are gone"
        yield _SAY.warning(
            what, found.path, "Something else than imaged has written to it.", RemoveOrphans(table, count)
        )
    if not found.missing and not found.orphans:
        yield _SAY.ok("is whole", found.path)
