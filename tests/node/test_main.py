"""The command line of a node: what is handed on, and what faults and exit codes become."""

import io
import sys
from pathlib import Path

import pytest

from installer.node import client, main, verify
from installer.node.client import Wish
from installer.node.errors import Failed, NoServer, Refused
from installer.node.update import Options


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), Options()),
        (("-n", "--checksum", "--full"), Options(dry_run=True, checksum=True, full=True)),
        (("--no-delete", "--no-bootloader", "--yes"), Options(delete=False, bootloader=False, confirmed=True)),
        (("--directory", "/etc/x/"), Options(directory=b"etc/x")),
    ],
)
def test_options(words: tuple[str, ...], expected: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wishes: list[Wish] = []
    monkeypatch.setattr(client, "updateclient", lambda wish: wishes.append(wish) or 0)
    assert main.main(["updateclient", "--root", str(tmp_path), "--to", "3", "--reboot", "cold", *words]) == 0
    assert wishes == [Wish(str(tmp_path), expected, 3, "cold")]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Failed("is bad", where="/x", hint="Mend it."), 1, "imaged: /x: is bad\n  Mend it.\n"),
        (Refused("too much"), 3, "imaged: too much\n"),
        (NoServer("away"), 5, "imaged: away\n"),
        (OSError(28, "No space left on device", b"/\xff"), 1, "imaged: /\\xff: No space left on device\n"),
        (OSError("odd"), 1, "imaged: odd\n"),
        (KeyboardInterrupt(), 130, "imaged: interrupted; run it again to go on\n"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_faults(
    fault: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(*_: object) -> int:
        raise fault

    monkeypatch.setattr(verify, "verify", fail)
    monkeypatch.setattr("os.dup2", lambda *_: 0)
    assert main.main(["verify", "--root", str(tmp_path)]) == code
    assert capsys.readouterr().err == said


def test_a_user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main.main(["verify"]) == 1
    assert "only root" in capsys.readouterr().err


def test_a_stream_that_cannot_say_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    into = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(into, "ascii"))
    monkeypatch.setattr(verify, "verify", lambda *_: sys.stdout.write("/gr\u00fc\udcff\n"))
    assert main.main(["verify", "--root", str(tmp_path)]) == 6
    assert into.getvalue() == b"/gr\\xfc\\udcff\n"
    assert not sys.stdout.closed, "what is not its own is not closed"
