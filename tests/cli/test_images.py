"""``buildimage`` and ``lsimage`` as people meet them. No image is built here: see tests/vm."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli import buildimage
from imaged.cli.main import imaged
from imaged.model.errors import BadInput, Denied, NotFound
from imaged.store.images import Images

RECIPE = "name: compute\nsuite: bookworm\npackages: [bash]\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with settings, a recipe and an empty state."""
    (tmp_path / "imaged.yaml").write_text(f"address: 127.0.0.1\nstate: {tmp_path}/state\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def call(home: Path, *argv: str) -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(home / "imaged.yaml"), *argv], standalone_mode=False)


def make(home: Path, name: str, origin: str = "a test") -> None:
    images = Images(home / "state/images", now=lambda: "2026-11-21T03:11:00Z")
    with images.working(name) as working:
        (working.tree / "file").write_text("x" * 2048)
        images.publish(images.seal(working, origin=origin), "stable")


def test_an_empty_store_says_what_to_do(home: Path) -> None:
    assert "imaged buildimage debian-12" in call(home, "lsimage").output
    assert json.loads(call(home, "lsimage", "--json").output) == []


def test_the_table_has_a_row_per_version(home: Path) -> None:
    for name in ("compute", "compute", "login"):
        make(home, name)
    rows = [line.split() for line in call(home, "lsimage").output.splitlines()]
    assert rows[0][:4] == ["image", "version", "channels", "created"]
    assert [row[:3] for row in rows[1:]] == [
        ["compute", "1", "-"],
        ["compute", "2", "stable"],
        ["login", "1", "stable"],
    ]
    assert "2 KiB" in " ".join(rows[1])
    assert len(call(home, "lsimage", "login").output.splitlines()) == 2


def test_what_an_origin_says_is_not_markup(home: Path) -> None:
    make(home, "compute", origin="[bold]x[/bold]")
    assert "[bold]x[/bold]" in call(home, "lsimage").output


def test_json_holds_everything(home: Path) -> None:
    make(home, "compute")
    (version,) = json.loads(call(home, "lsimage", "--json").output)
    assert (version["image"], version["number"], version["channels"], version["bytes"]) == (
        "compute",
        1,
        ["stable"],
        2048,
    )
    assert Path(version["tree"], "file").is_file()


@pytest.mark.parametrize(("name", "error"), [("login", NotFound), ("../etc", BadInput)])
def test_an_image_that_is_not_there(home: Path, name: str, error: type) -> None:
    make(home, "compute")
    assert isinstance(call(home, "lsimage", name).exception, error)


@pytest.mark.parametrize(
    ("argv", "error", "fault"),
    [
        (("no-such-recipe",), NotFound, "there is no such recipe"),
        (("recipe.yaml", "--name", "A B"), BadInput, "is not an image name"),
        (("recipe.yaml", "--channel", "7"), BadInput, "is not a channel name"),
        (("recipe.yaml", "--root-key", "none.pub"), NotFound, "no such file"),
        (("recipe.yaml", "--root-key", "recipe.yaml"), BadInput, "holds no ssh public key"),
        (("recipe.yaml", "--root-password-hash", "secret"), BadInput, "must be a crypt(5) hash"),
    ],
)
def test_bad_arguments_start_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], error: type, fault: str
) -> None:
    monkeypatch.chdir(home)
    result = call(home, "buildimage", *argv)
    assert isinstance(result.exception, error)
    assert fault in str(result.exception)
    assert not (home / "state").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may build")
def test_only_root_builds(home: Path) -> None:
    assert isinstance(call(home, "buildimage", str(home / "recipe.yaml")).exception, Denied)


def test_help_names_every_option() -> None:
    text = CliRunner().invoke(buildimage.command, ["--help"]).output
    assert all(option in text for option in ("--name", "--root-key", "--root-password-hash", "--channel"))
