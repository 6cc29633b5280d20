"""How the node database is opened: a file of SQLite's or a PostgreSQL server, and the little in which they differ."""

import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from imaged.model.errors import Conflict, ImagedError
from imaged.store.tables import meta, tables

SCHEMA: Final = 1
_PATIENCE: Final = 10  # seconds to wait for somebody else's transaction, or for a server that does not answer
_LOCK: Final = 0x696D61676564  # PostgreSQL's name for the right to make our tables; any number that is ours alone
_THEIRS: Final = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.DatabaseError)  # themselves, no kinds of them


def open_database(where: Path | str) -> sa.Engine:
    """The database at ``where``, a file or PostgreSQL's URL, with its tables made if missing.

    Raises ImagedError when it cannot be opened, Conflict when another program made it.
    """
    engine = _file(where) if isinstance(where, Path) else _server(where)
    shown = database_name(where)
    try:
        found = _schema(engine)
    except sa.exc.DatabaseError as error:
        raise ImagedError(f"the database cannot be opened: {_reason(error.orig or error)}", where=shown) from None
    if found != str(SCHEMA):
        raise Conflict(
            f"the database has schema {found}, this program knows {SCHEMA}",
            where=shown,
            hint="Run the version of imaged that wrote it.",
        )

    def failed(context: sa.engine.ExceptionContext) -> None:
        """What goes wrong later is a full disk, a lock that nobody gives back, a server that went away."""
        fault = context.sqlalchemy_exception
        ours = getattr(context.original_exception, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR  # bad SQL
        if type(fault) in _THEIRS and not ours and not context.is_pre_ping:
            raise ImagedError(f"the database failed: {_reason(context.original_exception)}", where=shown) from fault

    sa.event.listen(engine, "handle_error", failed)
    return engine


def database_name(where: Path | str) -> str:
    """For people: without a password."""
    return str(where) if isinstance(where, Path) else str(sa.make_url(where).set(query={}))


def _file(path: Path) -> sa.Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _close_to_others(path)
    except OSError as error:
        raise ImagedError(f"the database cannot be opened: {error.strerror}", where=str(path)) from None
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _PATIENCE})
    sa.event.listen(engine, "connect", _prepare)
    return engine


def _server(url: str) -> sa.Engine:
    """A server may have been restarted since the last question: that shall cost nobody an answer (pre-ping)."""
    try:
        parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": _PATIENCE})
    except (sa.exc.ArgumentError, ValueError):
        raise ImagedError("is not the URL of a database", where="database") from None
    except ImportError as error:
        hint = "Install it with `pip install 'imaged[postgresql]'`; it needs Debian's libpq5."
        raise ImagedError(f"PostgreSQL's driver is missing: {error}", where="database", hint=hint) from None


def _close_to_others(path: Path) -> None:
    """It holds keys. SQLite gives its journals the mode of the database (https://sqlite.org/wal.html)."""
    path.touch(mode=0o600)
    if path.stat().st_uid == os.geteuid():
        for each in (path, *path.parent.glob(f"{path.name}-*")):
            with suppress(FileNotFoundError):
                each.chmod(0o600)


def _prepare(connection: Any, _record: Any) -> None:
    """WAL lets the command line read and write beside the daemon; FULL makes a commit survive a power cut."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _schema(engine: sa.Engine) -> str:
    """The schema that the database has; its tables are made and completed. Which shape each has is in ``meta``, so
    that nobody has to look at all of them each time."""
    with engine.connect() as connection:
        known = _meta(connection) if sa.inspect(connection).has_table(meta.name) else {}
    shapes = {f"table {table.name}": _shape(table) for table in tables.sorted_tables}
    if known.get("schema", str(SCHEMA)) != str(SCHEMA) or shapes.items() <= known.items():
        return known["schema"]
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        tables.create_all(connection)
        _complete(connection)
        connection.execute(upsert(connection, meta), [{"key": key, "value": shape} for key, shape in shapes.items()])
        connection.execute(insert_missing(connection, meta), {"key": "schema", "value": str(SCHEMA)})
        return _meta(connection)["schema"]


def _meta(connection: sa.Connection) -> dict[str, str]:
    return {row.key: row.value for row in connection.execute(sa.select(meta))}


def _shape(table: sa.Table) -> str:
    parts = [*(column.name for column in table.columns), *sorted(str(index.name) for index in table.indexes)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _complete(connection: sa.Connection) -> None:
    """A database of an earlier release lacks columns that were added since, all of which may be empty, and indexes."""
    quoted = connection.dialect.identifier_preparer
    for table in tables.sorted_tables:
        known = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(connection.dialect)
                words = f"ALTER TABLE {quoted.format_table(table)} ADD COLUMN {quoted.format_column(column)} {kind}"
                connection.exec_driver_sql(words)
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def open_to_look(where: Path | str) -> sa.Engine:
    """The database as it is: nothing is made, added or changed. What does not fit, its questions raise."""
    if isinstance(where, str):
        engine = _server(where)
        sa.event.listen(engine, "connect", _read_only)
        return engine
    return sa.create_engine(f"sqlite:///file:{quote(str(where))}?mode=ro&uri=true", connect_args={"timeout": _PATIENCE})


def _read_only(connection: Any, _record: Any) -> None:
    connection.read_only = True


def word(engine: sa.Engine, key: str, fresh: str) -> str:
    """What is kept under ``key`` for the life of the database: ``fresh`` where nothing was."""
    query = sa.select(meta.c.value).where(meta.c.key == key)
    with engine.connect() as connection:
        found = connection.scalar(query)
    if found is None:
        with engine.begin() as connection:
            connection.execute(insert_missing(connection, meta), {"key": key, "value": fresh})
            found = connection.scalar(query)  # another process may have been faster
    return str(found)


def alone(connection: sa.Connection) -> None:
    """Until this transaction ends no other is between these lines and its end: what is looked up here still holds when
    it is written. The first statement of a transaction, so that SQLite has nothing to take back."""
    connection.execute(sa.update(meta).where(meta.c.key == "schema").values(value=meta.c.value))


def upsert(connection: sa.Connection, table: sa.Table, changing: Collection[str] = ()) -> Any:
    """INSERT that changes the row, or only the columns ``changing``, where its key is there already."""
    query = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    rest = changing or [column.name for column in table.columns if column.name not in keys]
    return query.on_conflict_do_update(index_elements=keys, set_={name: query.excluded[name] for name in rest})


def insert_missing(connection: sa.Connection, table: sa.Table) -> Any:
    """INSERT that leaves a row whose key is there already as it is."""
    return _insert(connection, table).on_conflict_do_nothing()


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # takes a tenth of a verb's start, and few have a server

    return postgresql.insert(table)


@contextmanager
def refusing_duplicates(what: str, where: str = "", hint: str = "") -> Iterator[None]:
    """Say a broken uniqueness as a Conflict that a person understands."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise Conflict(what, where=where, hint=hint) from None


def _reason(error: BaseException) -> str:
    """libpq says several lines, and the last ones are what to do about it."""
    return " ".join(str(error).split())
