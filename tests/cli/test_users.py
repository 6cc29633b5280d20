"""The verbs for users of the web page as a person types them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.admin import people
from imaged.admin.desk import Desk
from imaged.cli.main import imaged
from imaged.store import settings
from tests.cli.test_nodes import call, said, site

__all__ = ["site"]


def typed(site: Path, *words: str, line: str) -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(site), *words], input=line)


def test_a_user_is_made_changed_and_removed(site: Path) -> None:
    assert "imaged adduser" in call(site, "lsuser").output
    made = typed(site, "adduser", "anna", "--role", "operator", "--stdin", line="correct horse\n")
    assert made.output.startswith("anna: operator; http://")
    assert [line.split()[:2] for line in call(site, "lsuser").output.splitlines()[1:]] == [["anna", "operator"]]
    desk = Desk(settings.read(site))
    assert people.log_in(desk, "anna", "correct horse", 1.0)
    typed(site, "passwd", "anna", "--stdin", line="battery staple\n")
    with pytest.raises(Exception, match="no user has this password"):
        people.log_in(desk, "anna", "correct horse", 1.0)
    (listed,) = json.loads(call(site, "lsuser", "--json").output)
    assert listed.keys() == {"name", "role", "changed"}
    assert "horse" not in call(site, "lsevent", "anna").output
    assert call(site, "rmuser", "anna").output == "anna: removed\n"


@pytest.mark.parametrize(
    ("words", "line", "why"),
    [
        (("adduser", "Anna", "--stdin"), "correct horse", "'Anna' is not a name of a user"),
        (("adduser", "anna", "--stdin"), "correct horse", "there is a user 'anna' already"),
        (("adduser", "new", "--stdin"), "too short", "a password has 10 to 1024 letters"),
        (("adduser", "new", "--stdin"), "", "a password has 10 to 1024 letters"),
        (("adduser", "new"), "correct horse", "there is no terminal"),
        (("passwd", "no", "--stdin"), "correct horse", "no user 'no'"),
        (("rmuser", "anna", "no"), "", "no user 'no'"),
    ],
)
def test_what_is_refused(site: Path, words: tuple[str, ...], line: str, why: str) -> None:
    typed(site, "adduser", "anna", "--stdin", line="correct horse\n")
    assert why in said(typed(site, *words, line=line))
    assert [user["name"] for user in json.loads(call(site, "lsuser", "--json").output)] == ["anna"]
