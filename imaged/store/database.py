"""The node database: its tables and how it is opened. SQLAlchemy Core; what is asked of it is in the other modules."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from imaged.model.errors import Conflict, ImagedError

SCHEMA = 1
tables = sa.MetaData()

meta = sa.Table("meta", tables, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String))

nodes = sa.Table(
    "nodes",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("uuid", sa.String, nullable=False, default="", index=True),
    sa.Column("address", sa.String, unique=True),
    sa.Column("image", sa.String, nullable=False),
    sa.Column("layout", sa.String, nullable=False),
    sa.Column("console", sa.String, nullable=False, default=""),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Column("secret_hash", sa.String),  # sha256 of the secret the node proves itself with
    sa.Column("inventory", sa.Text),  # JSON, as the agent last sent it
    sa.Column("plan_hash", sa.String),
    sa.Column("installing", sa.String),  # exactly which version its plan copies: compute@3
    sa.Column("installed", sa.String),  # exactly which version is on its disks
    sa.Column("host_keys", sa.Text, nullable=False, default=""),  # ssh public host keys, a line each
    sa.Column("last_seen", sa.Float),
    sa.Column("system", sa.Text),  # JSON of model.system.System: the disks as the plan has them
    sa.Column("updating", sa.String),  # exactly which version an update brings that has not ended: compute@4
    sa.Column("serial", sa.String),  # of the last update that was carried out whole
    sa.Column("planned", sa.String),  # planning.standing.Planned of the last plan of an update that it was given
    sa.Column("updated", sa.Text),  # JSON of model.update.Updated: how the last update ended
    sa.Column("updated_at", sa.Float),
    sa.Column("drift", sa.Text),  # JSON of model.update.Drift, as the node last sent it
    sa.Column("drift_at", sa.Float),
    sa.Column("secure_boot", sa.Boolean),  # as of the inventory; NULL: not known
    sa.Column("wishes", sa.Text),  # JSON of model.wishes.Wishes for its next install
    sa.Column("touched", sa.Text),  # JSON list of planning.touched.Touch: the files that are the node's own
)

nics = sa.Table(
    "nics",
    tables,
    sa.Column("mac", sa.String, primary_key=True),
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
)

tokens = sa.Table(
    "tokens",
    tables,
    sa.Column("hash", sa.String, primary_key=True),  # sha256 of the one-time token in the boot script
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("used_by", sa.String),  # sha256 of the secret that the claim chose
)

media = sa.Table(  # boot media that were made
    "media",
    tables,
    sa.Column("hash", sa.String, primary_key=True),  # sha256 of the token that is on it
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE")),  # NULL: for any node
    sa.Column("expires", sa.Float, nullable=False),
)

machines = sa.Table(  # every machine that was seen to network-boot
    "machines",
    tables,
    sa.Column("mac", sa.String, primary_key=True),
    sa.Column("uuid", sa.String, nullable=False, default=""),
    sa.Column("arch", sa.String, nullable=False, default=""),
    sa.Column("vendor_class", sa.String, nullable=False, default=""),
    sa.Column("relay", sa.String, nullable=False, default=""),
    sa.Column("address", sa.String, nullable=False, default=""),
    sa.Column("first_seen", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
)

leases = sa.Table(
    "leases",
    tables,
    sa.Column("address", sa.String, primary_key=True),
    sa.Column("mac", sa.String, nullable=False, index=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

reports = sa.Table(
    "reports",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column(
        "node",
        sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("report", sa.Text, nullable=False),  # JSON of model.report.Report
)


keys = sa.Table(  # of encrypted devices; they stay when their node is forgotten
    "keys",
    tables,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("device", sa.String, primary_key=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("text", sa.String, nullable=False),
)

events = sa.Table(  # of changes by people and programs, see store/events.py
    "events",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False, index=True),
    sa.Column("before", sa.Text, nullable=False),  # JSON of what the change took away
    sa.Column("after", sa.Text, nullable=False),  # JSON of what it put there
)


def open_database(path: Path) -> sa.Engine:
    """The database at ``path``, made if missing. Raises ImagedError when it cannot be opened or is too new."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _close_to_others(path)
        engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})
        sa.event.listen(engine, "connect", _prepare)
        tables.create_all(engine)
        _add_columns(engine)
        with engine.begin() as connection:
            found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema"))
            if found is None:
                connection.execute(meta.insert().values(key="schema", value=str(SCHEMA)))
    except (OSError, sa.exc.DatabaseError) as error:
        reason = getattr(error, "orig", None) or error
        raise ImagedError(f"the database cannot be opened: {reason}", where=str(path)) from None
    if found not in (None, str(SCHEMA)):
        raise Conflict(
            f"the database has schema {found}, this program knows {SCHEMA}",
            where=str(path),
            hint="Run the version of imaged that wrote it.",
        )
    return engine


def _close_to_others(path: Path) -> None:
    """It holds keys. SQLite gives its journals the mode of the database (https://sqlite.org/wal.html)."""
    path.touch(mode=0o600)
    if path.stat().st_uid == os.geteuid():
        for each in (path, *path.parent.glob(f"{path.name}-*")):
            with suppress(FileNotFoundError):
                each.chmod(0o600)


def _add_columns(engine: sa.Engine) -> None:
    """A database of an earlier release lacks columns that were added since; all of those may be empty."""
    for table in tables.sorted_tables:
        known = {column["name"] for column in sa.inspect(engine).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(engine.dialect)
                with suppress(sa.exc.OperationalError), engine.begin() as connection:  # another process was faster
                    connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def _prepare(connection: Any, _record: Any) -> None:
    """WAL lets the command line read and write beside the daemon; FULL makes a commit survive a power cut."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def refusing_duplicates(what: str, where: str = "", hint: str = "") -> Iterator[None]:
    """Say a broken uniqueness as a Conflict that a person understands."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise Conflict(what, where=where, hint=hint) from None
