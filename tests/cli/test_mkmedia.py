"""mkmedia as a person types it: what is refused before anything is made, and what the menu of a medium says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imaged.cli.mkmedia import menu, server_url
from imaged.model.errors import ImagedError
from imaged.planning.script import medium_arguments
from imaged.store.paths import State
from tests.cli.test_nodes import ADD, call, said, site

__all__ = ["site"]


@pytest.mark.parametrize(
    ("words", "what", "code"),
    [
        ((), "no file to write", 2),
        (("--output", "x.iso", "--node", "n9"), "no node 'n9'", 3),
        (("--output", "x.iso", "--revoke"), "makes no medium", 2),
        (("--output", "/nowhere/x.iso"), "there is no such directory", 2),
        (("--output", "x.iso", "--node", "n1"), "is not to be installed", 4),
    ],
)
def test_refused(site: Path, words: tuple[str, ...], what: str, code: int) -> None:
    call(site, *ADD)
    call(site, "boot", "n1", "local")
    result = call(site, "mkmedia", *words)
    assert what in said(result)
    assert isinstance(result.exception, ImagedError)
    assert result.exception.exit_code == code
    assert not Path("x.iso").exists()


def test_bad_local_cfg(site: Path, tmp_path: Path) -> None:
    config = tmp_path / "local.cfg"
    config.write_text("HOSTNAME=n2\n")
    assert "no node 'n2'" in said(call(site, "mkmedia", "--output", "x.iso", "--local-cfg", str(config)))
    call(site, *ADD)
    words = ("mkmedia", "--output", "x.iso", "--node", "n1", "--local-cfg", str(config))
    assert "HOSTNAME is n2, not n1" in said(call(site, *words))
    config.write_bytes(b"HOSTNAME=\xff\n")
    assert "cannot be read" in said(call(site, *words))


def test_revoking_counts(site: Path) -> None:
    assert "any more: 0" in said(call(site, "mkmedia", "--revoke"))


@pytest.mark.parametrize(
    ("base", "host", "expected"),
    [
        ("http://10.0.0.1:8080", "", "http://10.0.0.1:8080"),
        ("http://10.0.0.1:8080", "10.1.0.1", "http://10.1.0.1:8080"),
        ("http://10.0.0.1", "head.example", "http://head.example"),
    ],
)
def test_server_url(base: str, host: str, expected: str) -> None:
    assert server_url(base, host) == expected


@pytest.mark.parametrize("console", ["", "ttyS1,9600", "hvc0"])
def test_menu_is_what_grub_understands(tmp_path: Path, console: str) -> None:
    text = menu(State(tmp_path), None, "http://h:1", console, medium_arguments("http://h:1", "tok", console))
    assert "imaged.medium=tok" in text
    assert ("serial --unit=1 --speed=9600" in text) == console.startswith("ttyS")
    checker = shutil.which("grub-script-check")
    if checker:
        (tmp_path / "grub.cfg").write_text(text)
        subprocess.run((checker, tmp_path / "grub.cfg"), check=True, env={"PATH": os.environ["PATH"]})
