"""A server on a scratch directory, for the doctor to look at."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imaged.admin.desk import Desk
from imaged.cli.main import imaged
from imaged.doctor import kept
from imaged.model.codec import to_json
from imaged.model.dialect import dialect
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.ramdisk.build import Ramdisk
from imaged.store import settings as settings_file
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.nodes import Nodes
from imaged.store.paths import State
from tests.daemon.test_provisioning import fill

ROOT = Path(__file__).parents[2]
LOADERS = ("undionly.kpxe", "snponly.efi", "shimx64.efi")


class Site:
    """``state`` is whole: an image with a channel, a node of it, a ramdisk with its loaders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "imaged.yaml"
        self.state = State(root / "state")
        self.write("address: 127.0.0.1")

    def make(self) -> None:
        """All of it."""
        for path in (self.state.boot, self.state.images, self.state.logs, self.state.run):
            path.mkdir(parents=True)
        images = Images(self.state.images)
        with images.working("tiny") as working:
            fill(working.tree)
            images.publish(images.seal(working, origin="test"), "stable")
        engine = open_database(self.state.database)
        Desk(settings_file.read(self.settings), engine)  # every table
        Nodes(engine).add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("tiny")))
        engine.dispose()
        self.boot()

    def write(self, *lines: str) -> None:
        """The settings file."""
        self.settings.write_text("\n".join((*lines, f"state: {self.state.root}", "")))
        self.settings.chmod(0o644)

    def boot(self) -> None:
        """Files that look like a ramdisk and loaders."""
        ramdisk = self.state.boot / "ramdisk/x86_64"
        ramdisk.mkdir(parents=True)
        for name in ("vmlinuz", "initrd.img"):
            (ramdisk / name).write_bytes(b"x")
        built = Ramdisk("x86_64", "6.1", "image:tiny@stable", "2026", 1, 1, 1, "zstd", "i", kept.agent_now(), dialect())
        (ramdisk / "ramdisk.json").write_text(to_json(built))
        (self.state.boot / "loaders").mkdir()
        for name in LOADERS:
            (self.state.boot / "loaders" / name).write_bytes(os.urandom(1500))

    def sql(self, *lines: str) -> None:
        """As somebody does it with another program."""
        with sqlite3.connect(self.state.database) as connection:
            for line in lines:
                connection.execute(line)
        connection.close()

    def doctor(self, *words: str, prefix: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and findings of `imaged doctor --json`, which sends nothing; with ``prefix`` as a process."""
        arguments = ("--settings", str(self.settings), "doctor", "--json", "--no-probe", *words)
        if prefix:
            return process(*prefix, sys.executable, "-m", "imaged", *arguments)
        done = CliRunner(catch_exceptions=False).invoke(imaged, arguments, standalone_mode=False)
        return done.return_value, json.loads(done.stdout)


def process(*argv: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of the doctor that this command runs."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Made once: sealing an image waits for the whole disk."""
    site = Site(tmp_path_factory.mktemp("model"))
    site.make()
    return site


@pytest.fixture
def server(model: Site, tmp_path: Path) -> Site:
    shutil.copytree(model.state.root, tmp_path / "state", symlinks=True)
    return Site(tmp_path)


def of(found: list[dict[str, Any]], check: str, *levels: str) -> list[str]:
    """``where: what`` of one check's findings."""
    return [f"{each['where']}: {each['what']}" for each in found if each["check"] == check and each["level"] in levels]
