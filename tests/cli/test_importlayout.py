"""``imaged importlayout`` as a person types it: where the layout goes, what is told, what is never written over."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import Conflict, ImagedError
from imaged.planning import layout
from imaged.store import layouts, yamlfile

DATA = Path(__file__).parents[1] / "data/layouts-import"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Settings of a site."""
    path = tmp_path / "imaged.yaml"
    path.write_text(f"address: 10.0.0.1\nstate: {tmp_path}/state\ndhcp: {{mode: off}}\n")
    return path


def call(site: Path, *words: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(site), "importlayout", *words], input=given)


def test_it_is_printed_with_its_notes_as_comments_and_on_the_error_stream(site: Path) -> None:
    file = DATA / "scsi.disk"
    result = call(site, str(file))
    assert result.exit_code == 0
    assert layout.read(yamlfile.parse(result.stdout, where="printed"), "printed").disks[0].id == "sda"
    assert "# - line 2: ext3 on /dev/sda1 becomes ext4\n" in result.stdout
    assert f"{file}: line 2: ext3 on /dev/sda1 becomes ext4\n" in result.stderr


def test_a_named_one_is_a_layout_of_the_site_and_is_not_written_over(site: Path) -> None:
    words = (str(DATA / "efi.xml"), "--name", "compute")
    assert call(site, *words).exit_code == 0
    root = site.parent / "state/layouts"
    first = layouts.find(root, "compute")
    assert first["disks"][0]["id"] == "nvme0n1"
    again = call(site, str(DATA / "scsi.disk"), "--name", "compute")
    assert isinstance(again.exception, Conflict)
    assert layouts.find(root, "compute") == first
    assert call(site, str(DATA / "scsi.disk"), "--name", "compute", "--replace").exit_code == 0
    assert layouts.find(root, "compute")["disks"][0]["id"] == "sda"


def test_from_a_pipe_to_a_file(site: Path) -> None:
    output = site.parent / "out.yaml"
    given = (DATA / "gpt.sfdisk").read_bytes()
    assert call(site, "-", "--from", "sfdisk", "--output", str(output), given=given).exit_code == 0
    assert layout.read(yamlfile.load(output), "out").disks[0].id == "vda"


@pytest.mark.parametrize(
    ("words", "given", "code", "message"),
    [
        (("-",), b"\xff\x00nothing", 1, "no disk with partitions"),
        (("-",), b'<!DOCTYPE a SYSTEM "x"><config/>', 1, "a DOCTYPE is not taken"),
        (("-", "--from", "sfdisk"), b"<config/>", 1, "read as sfdisk"),
        (("/nowhere/at/all",), b"", 2, "No such file"),
        (("-", "--name", "../x"), b"", 2, "is not a layout name"),
        (("-", "--name", "x", "--output", "y"), b"", 2, "two places"),
    ],
)
def test_what_cannot_be_used(site: Path, words: tuple[str, ...], given: bytes, code: int, message: str) -> None:
    result = call(site, *words, given=given)
    assert isinstance(result.exception, ImagedError)
    assert result.exception.exit_code == code
    assert message in str(result.exception)
    assert not (site.parent / "state/layouts").exists()
