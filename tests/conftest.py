"""What holds for every test: pure rooms are tested without starting a process."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa
from hypothesis import settings

from imaged.store.database import open_database
from tests.postgres import Missing, Postgres

settings.register_profile("imaged", deadline=None)  # tests never time anything
settings.load_profile("imaged")

# A shell gives what it starts in the background an ignored SIGINT, and so would be that of every program a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does nohup(1) with SIGHUP. That is caught, so that we outlive it: what is caught is the default again in a child.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

_PURE = ("model", "wire", "planning")
_MAY_START = ("processes", "clients", "vm")


@pytest.fixture(autouse=True)
def _no_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process is an error in the tests of pure code, unless they are marked to be about one."""
    room = request.path.relative_to(Path(__file__).parent).parts[0]
    if room not in _PURE or any(request.node.get_closest_marker(name) for name in _MAY_START):
        return

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("a test of pure code started a process; mark it 'processes' if it is about one")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"):
        monkeypatch.setattr(os, name, refuse)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server, for all tests of this run."""
    try:
        server = Postgres()
    except Missing as why:
        pytest.skip(str(why))
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a test's empty node database is, once for each kind, as ``open_database`` takes it."""
    if request.param == "sqlite":
        return tmp_path / "state" / "imaged.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh()


@pytest.fixture
def engine(database: Path | str) -> Iterator[sa.Engine]:
    """That database, opened."""
    engine = open_database(database)
    yield engine
    engine.dispose()
