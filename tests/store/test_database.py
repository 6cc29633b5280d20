"""How the database is opened: what it lacks is made, what it is not is refused, and what fails later is said."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.model.errors import Conflict, ImagedError
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.site import site_uuid
from imaged.store.tables import leases, meta, nodes, tables
from tests.postgres import Postgres

NODE = Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("debian-12@3"))


def test_the_site_keeps_its_identity(database: Path | str) -> None:
    assert site_uuid(open_database(database)) == site_uuid(open_database(database))


def test_a_database_of_another_program_version_is_refused(database: Path | str) -> None:
    with open_database(database).begin() as connection:
        connection.execute(meta.update().where(meta.c.key == "schema").values(value="99"))
    with pytest.raises(Conflict, match="schema 99"):
        open_database(database)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "imaged.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(ImagedError, match="cannot be opened: file is not a database"):
        open_database(path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "postgresql://u:secret@/none?host=/nowhere",
            r"//u:\*+@/none: the database cannot be opened: .*No such file",
        ),
        ("postgresql+psycopg://u@h:port/db", r"not the URL of a database"),
    ],
)
def test_a_server_that_is_not_there_is_said_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ImagedError, match=f"(?s){said}") as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_database_of_an_earlier_release_gets_what_it_lacks(database: Path | str) -> None:
    engine = open_database(database)
    Nodes(engine).add(NODE)
    Nodes(engine).keep("n1", installed="debian-12@3")
    with engine.begin() as old:
        for column in ("system", "updating", "serial", "updated", "updated_at", "drift", "drift_at"):
            old.execute(sa.text(f"ALTER TABLE nodes DROP COLUMN {column}"))
        old.execute(sa.text("DROP INDEX ix_nics_node"))
        leases.drop(old)
        old.execute(meta.delete().where(meta.c.key.startswith("table ")))
    engine.dispose()
    engine = open_database(database)
    again = Nodes(engine)
    facts = again.facts("n1")
    assert (facts["installed"], facts["updating"], facts["drift_at"]) == ("debian-12@3", None, None)
    again.keep("n1", updating="debian-12@4", updated_at=5.0)
    assert Nodes(open_database(database)).facts("n1")["updated_at"] == 5.0
    found = sa.inspect(engine)
    assert set(found.get_table_names()) == set(tables.tables)
    assert [index["column_names"] for index in found.get_indexes("nics")] == [["node"]]


_OPEN = "from imaged.store.nodes import Nodes; from imaged.store.site import site_uuid; " \
    "from imaged.store.database import open_database; from pathlib import Path; import sys; " \
    "print(site_uuid(open_database(Path(sys.argv[1]) if sys.argv[1][0] == '/' else sys.argv[1])))"  # fmt: skip


def test_several_daemons_may_start_at_once(database: Path | str) -> None:
    def start(_: int) -> str:
        return subprocess.run((sys.executable, "-c", _OPEN, str(database)), check=True, capture_output=True).stdout

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(start, range(3))) == {f"{site_uuid(open_database(database))}\n".encode()}


def test_what_fails_later_is_said_and_ours_keeps_its_traceback(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "imaged.sqlite")
    with engine.connect() as connection:
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELEKT"))
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # what it has already, it keeps
    with pytest.raises(ImagedError, match=r"imaged.sqlite: the database failed: database or disk is full"):
        Nodes(engine).add(evolve(NODE, reason="x" * 100_000))
    assert Nodes(engine).all() == ()


def test_a_server_that_was_restarted_costs_nobody_an_answer(postgres: Postgres) -> None:
    engine = open_database(postgres.fresh())
    there = Nodes(engine)
    there.add(NODE)
    with engine.connect() as connection:
        postgres.kill()
        with pytest.raises(ImagedError, match=r"the database failed: .*server"):
            connection.execute(sa.select(nodes))
    with pytest.raises(ImagedError, match=r"the database failed: .*No such file"):
        there.all()
    postgres.start()
    assert there.all() == (NODE,)


def test_only_one_at_a_time_changes_definitions(database: Path | str) -> None:
    """Each of the two looks first whether the UUID is taken, which no index of the database refuses."""
    store = Nodes(open_database(database))

    def add(number: int) -> bool:
        try:
            store.add(Node(f"n{number}", (Mac.parse(f"52:54:00:00:00:{number:02x}"),), ImageRef("tiny"), uuid="aa"))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, range(16))) == 1
    assert len(store.all()) == 1
