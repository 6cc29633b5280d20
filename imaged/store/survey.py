"""What no verb asks for: leftovers and damage in the image store, faults of the database. Looking changes nothing."""

import re
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from attrs import field, frozen

from imaged.model.errors import BadInput, ImagedError
from imaged.model.names import image_name
from imaged.store import channels
from imaged.store.images import Images
from imaged.store.tables import meta, tables
from imaged.store.working import EDIT_LOCK, GONE

_FLOCK = re.compile(r"^\d+: FLOCK .* [0-9a-f]+:[0-9a-f]+:(\d+) ", re.M)  # of /proc/locks: the inode
_KINDS = {".working": "build", ".resumable": "capture", ".edit": "edit"}
_KEPT = frozenset({".lock", EDIT_LOCK, ".last", "channels"})


@frozen
class Left:
    """A tree beside the versions: a ``build`` or ``removal`` broken off, a ``capture`` or ``edit`` that is kept."""

    path: Path
    kind: str
    held: bool


@frozen
class Surveyed:
    """An image's directory. ``damaged``: versions with what is wrong; ``channels``: what each means, None: nothing."""

    name: str
    numbers: tuple[int, ...] = ()
    damaged: dict[int, str] = field(factory=dict)
    channels: dict[str, int | None] = field(factory=dict)
    left: tuple[Left, ...] = ()


@frozen
class State:
    """Of a database. ``orphans`` are rows by table, and ``damage`` is of a SQLite file."""

    damage: tuple[str, ...]
    schema: str | None
    missing: tuple[str, ...]
    orphans: dict[str, int]


def survey(images: Images) -> tuple[tuple[Surveyed, ...], tuple[Path, ...]]:
    """Every image, and what lies among them and is none. Raises PermissionError."""
    found, strange = [], []
    held = _held()
    for path in sorted(images.root.iterdir()) if images.root.is_dir() else ():
        if path.name.startswith(GONE):
            found.append(Surveyed(path.name.removeprefix(GONE), left=(Left(path, "removal", held=False),)))
        elif path.name == ".last":
            continue
        elif not path.is_dir() or not _is_name(path.name):
            strange.append(path)
        else:
            found.append(_surveyed(images, path, held))
    return tuple(found), tuple(strange)


def _surveyed(images: Images, home: Path, held: frozenset[int]) -> Surveyed:
    numbers = images.numbers(home.name)
    damaged = {number: why for number in numbers if (why := _damage(images, home, number))}
    left = []
    for path in sorted(home.iterdir()):
        kind = "removal" if path.name.startswith(GONE) else _KINDS.get(path.name)
        if kind and path.is_dir():
            lock = home / (EDIT_LOCK if kind == "edit" else ".lock")
            left.append(Left(path, kind, lock.exists() and lock.stat().st_ino in held))
    return Surveyed(home.name, numbers, damaged, _meanings(home / "channels"), tuple(left))


def _damage(images: Images, home: Path, number: int) -> str:
    try:
        version = images.version(home.name, number)
    except ImagedError as error:
        return f"{Path(error.where).name or 'version.json'} {error.what}"
    if not images.tree(version).is_dir():
        return "its tree is not there"
    return "" if images.manifest(version).is_file() else "its manifest is not there"


def _meanings(directory: Path) -> dict[str, int | None]:
    try:
        return {name: history[0] for name, history in channels.read(directory).items()}
    except BadInput:
        pass
    found: dict[str, int | None] = {}
    for path in sorted(each for each in directory.iterdir() if not each.name.startswith(".")):
        words = path.read_text(errors="replace").split()
        found[path.name] = int(words[0]) if words and words[0].isascii() and words[0].isdigit() else None
    return found


def _held() -> frozenset[int]:
    """Inodes of the files that somebody holds by flock(2). To try them would be in the way of who comes then."""
    return frozenset(int(inode) for inode in _FLOCK.findall(Path("/proc/locks").read_text()))


def _is_name(name: str) -> bool:
    try:
        return bool(image_name(name))
    except BadInput:
        return False


def state_of(path: Path) -> State:
    """Of the database at ``path``, by SQLite's own checks. Raises sqlite3.Error."""
    with sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True) as connection:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
        if said != ["ok"]:
            return State(tuple(said), None, (), {})
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        schema = None
        if meta.name in names:
            row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
            schema = str(row[0]) if row else None
        missing = [f"{table.name}.{column.name}" for table in tables.sorted_tables if table.name in names
                   for column in table.columns if column.name not in _columns(connection, table.name)]  # fmt: skip
        missing += [table.name for table in tables.sorted_tables if table.name not in names]
        orphans: dict[str, int] = {}
        for row in connection.execute("PRAGMA foreign_key_check"):
            orphans[row[0]] = orphans.get(row[0], 0) + 1
    connection.close()
    return State((), schema, tuple(missing), orphans)


def state_of_server(engine: sa.Engine) -> State:
    """Of a PostgreSQL database, which watches over its files and over what belongs to what by itself."""
    look = sa.inspect(engine)
    there = set(look.get_table_names())
    schema = None
    if meta.name in there:
        with engine.connect() as connection:
            schema = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema"))
    missing = []
    for table in tables.sorted_tables:
        known = {column["name"] for column in look.get_columns(table.name)} if table.name in there else set()
        missing += [f"{table.name}.{column.name}" for column in table.columns if column.name not in known]
    return State((), schema, tuple(missing), {})


def remove_orphans(engine: sa.Engine, name: str) -> int:
    """Rows of the table ``name`` whose parents are gone; how many. Elsewhere than in SQLite there are none."""
    if engine.dialect.name != "sqlite" or name not in tables.tables:
        return 0
    with engine.begin() as connection:
        rows = connection.execute(sa.text(f"PRAGMA foreign_key_check({name})")).all()
        for row in {row[1] for row in rows}:
            connection.execute(sa.text(f"DELETE FROM {name} WHERE rowid = :row"), {"row": row})
    return len({row[1] for row in rows})


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
