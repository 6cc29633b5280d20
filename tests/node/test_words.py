"""Text on its way to people and servers, in any locale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imaged.model.codec import from_json
from imaged.model.talk import Problem
from installer.node.errors import Failed
from installer.node.words import local, readable

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/etc/grüße", "/etc/grüße"),
        ("/etc/\udcff", "/etc/\\xff"),
        ("\udcc3\udcbc", "ü"),  # an umlaut, as an ASCII locale has it
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_what_people_read(given: str, expected: str) -> None:
    assert readable(given) == expected
    assert str(Failed("is bad", where=given or "x")) == f"{expected or 'x'}: is bad"
    told = json.dumps({"what": readable(given)})
    assert from_json(told, Problem).what == expected  # the server's own decoder takes it


def test_values_of_json_keep_their_bytes() -> None:
    given = {"path": "/ü\udcff", "when": ["ä", 1, None, True]}
    assert local(given) == given, "in a UTF-8 locale nothing changes"


@pytest.mark.processes
def test_paths_of_json_open_in_an_ascii_locale(tmp_path: Path) -> None:
    (tmp_path / "grüße").write_text("x")
    program = (
        "import os, sys; from installer.node.words import local, readable\n"
        "found = local(['grüße'])\n"
        "assert sys.getfilesystemencoding() == 'ascii' and os.listdir('.') == found, (found, os.listdir('.'))\n"
        "assert readable(found[0]) == 'gr\\u00fc\\u00dfe'\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    environment |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = (sys.executable, "-c", program.replace("grüße", "gr\\u00fc\\u00dfe"))
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
