"""The verbs for tokens as a person types them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from imaged.cli.main import imaged
from tests.cli.test_nodes import call, said, site

__all__ = ["site"]


def test_a_token_is_made_listed_and_removed(site: Path) -> None:
    assert "imaged addtoken" in call(site, "lstoken").output
    made = CliRunner().invoke(imaged, ["--settings", str(site), "addtoken", "ci", "--role", "operator", "--days", "3"])
    secret = made.stdout.strip()
    assert secret.startswith("imaged_") and "\n" not in secret, "what a script reads is the secret alone"
    assert "ci: operator, good until " in made.stderr and secret not in made.stderr
    call(site, "addtoken", "look")
    listed = call(site, "lstoken").output
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [["ci", "operator"], ["look", "read"]]
    assert secret not in listed
    (first, second) = json.loads(call(site, "lstoken", "--json").output)
    assert (first["expires"] - first["created"] - 3 * 86400 < 1, second["expires"]) == (True, None)
    assert call(site, "rmtoken", "ci", "look").output == "ci: removed\nlook: removed\n"
    assert json.loads(call(site, "lstoken", "--json").output) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("addtoken", "CI"), "'CI' is not a name of a token"),
        (("addtoken", "ci"), "there is a token 'ci' already"),
        (("addtoken", "new", "--days", "0"), "0 is not in the range"),
        (("addtoken", "new", "--days", "99999"), "not within 1 to 36500 days"),
        (("addtoken", "new", "--role", "root"), "'root' is not one of"),
        (("rmtoken", "ci", "no"), "no token 'no'"),
    ],
)
def test_what_is_refused(site: Path, words: tuple[str, ...], why: str) -> None:
    call(site, "addtoken", "ci")
    assert why in said(call(site, *words))
    assert [token["name"] for token in json.loads(call(site, "lstoken", "--json").output)] == ["ci"]
