"""A PostgreSQL server of the tests' own: an unprivileged user's, in a directory of its own, on a unix socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

_USER = "postgres"  # Debian's package makes it; PostgreSQL refuses to run as root


class Missing(Exception):
    """Why there can be no server here."""


class Postgres:
    """One server; ``fresh`` makes empty databases of it. Names are sorted by a language's rules there, not as bytes."""

    def __init__(self) -> None:
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
        if self._programs is None:
            raise Missing("PostgreSQL is not installed")
        try:
            self._user = pwd.getpwnam(_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        except KeyError:
            raise Missing(f"there is no user {_USER!r}") from None
        self.home = Path(tempfile.mkdtemp(prefix="imaged-pg-"))
        os.chown(self.home, self._user.pw_uid, self._user.pw_gid)
        self._numbers = count(1)
        self._run("initdb", "--auth=trust", "--username=imaged", "--no-sync", "--encoding=UTF8",
                  "--locale-provider=icu", "--icu-locale=en-US")  # fmt: skip
        self.start()

    def start(self) -> None:
        """Also after ``kill``. Its commits survive that, but no power cut: nobody tests one."""
        options = f"-k {self.home} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self.home}/log", f"--options={options}")

    def kill(self) -> None:
        """At once, with all its connections."""
        self._run("pg_ctl", "stop", "--mode=immediate")

    def remove(self) -> None:
        """Leave nothing."""
        self.kill()
        shutil.rmtree(self.home)

    def fresh(self) -> str:
        """A URL with nothing behind it: a schema, which takes milliseconds where a database takes a second."""
        name = f"imaged{next(self._numbers)}"
        with psycopg.connect(host=str(self.home), user="imaged", dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://imaged@/postgres?host={self.home}&options=-csearch_path={name}"

    def _run(self, program: str, *words: str) -> None:
        assert self._programs is not None
        done = subprocess.run(
            (self._programs / program, "-D", self.home / "data", *words), check=False, text=True, cwd=self.home,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            user=self._user.pw_uid, group=self._user.pw_gid, extra_groups=(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")
