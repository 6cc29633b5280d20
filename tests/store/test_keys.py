"""Keys of encrypted devices: made once, the same for ever, nobody else's to read."""

import base64
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.keys import Keys
from imaged.store.nodes import Nodes


def test_a_key_is_made_once(database: Path | str) -> None:
    first = Keys(open_database(database)).of("n1", "crypt0")
    assert len(base64.b64decode(first, validate=True)) == 32
    keys = Keys(open_database(database))
    assert keys.of("n1", "crypt0") == first
    others = {keys.of("n1", "crypt1"), keys.of("n2", "crypt0")}
    assert len(others | {first}) == 3
    assert [(key.device, key.text) for key in keys.all("n1")] == [
        ("crypt0", first),
        ("crypt1", keys.of("n1", "crypt1")),
    ]
    assert keys.all("n3") == ()
    assert first not in repr(keys.all("n1"))


def test_two_who_ask_at_once_get_the_same(database: Path | str) -> None:
    engine = open_database(database)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: Keys(engine).of("n1", "crypt0"), range(32)))) == 1


def test_a_forgotten_node_takes_no_key_with_it(database: Path | str) -> None:
    engine = open_database(database)
    Nodes(engine).add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("tiny")))
    key = Keys(engine).of("n1", "crypt0")
    Nodes(engine).remove("n1")
    assert Keys(engine).of("n1", "crypt0") == key


def test_only_the_owner_reads_the_database(tmp_path: Path) -> None:
    path = tmp_path / "state/imaged.sqlite"
    # A process of its own, that is killed: its journal stays.
    code = (
        "import os; os.umask(0); from pathlib import Path; from imaged.store.database import open_database; "
        f"from imaged.store.keys import Keys; e = open_database(Path({str(path)!r})); c = e.connect(); "
        "Keys(e).of('n1', 'crypt0'); os._exit(0)"
    )
    subprocess.run((sys.executable, "-c", code), check=True)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert set(modes) == {"imaged.sqlite", "imaged.sqlite-wal", "imaged.sqlite-shm"}
    assert set(modes.values()) == {0o600}
    for each in path.parent.iterdir():
        each.chmod(0o644)  # as an earlier release left them
    open_database(path)
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
