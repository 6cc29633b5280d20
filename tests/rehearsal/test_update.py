"""What the rehearsal of an update runs, without machines."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from imaged.cli.main import VERBS, imaged
from imaged.cli.rehearse import command
from imaged.model.errors import BadInput
from imaged.rehearsal.update import DRIFT, Login, Verb, story

STEPS = tuple(story("web-edited", ("web01", "web02"), Path("/site/key")))
WORDS = [step.words for step in STEPS if isinstance(step, Verb)]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0])
def test_every_step_is_a_verb_that_takes_these_options(words: tuple[str, ...]) -> None:
    verb = imaged.get_command(None, words[0])  # type: ignore[arg-type]
    assert verb is not None, f"{words[0]} is none of {list(VERBS)}"
    parser = verb.make_parser(verb.make_context("", [], resilient_parsing=True))
    _, rest, _ = parser.parse_args(list(words[1:]))
    assert rest == []


def test_drift_is_wanted_exactly_where_a_node_was_broken() -> None:
    wanted = [step.code if isinstance(step, Verb) else step.node for step in STEPS]
    assert [each for each in wanted if each] == ["web01", DRIFT]
    assert wanted.index(DRIFT) == wanted.index("web01") + 1


def test_all_nodes_are_named_as_people_name_them_and_commands_can_be_pasted() -> None:
    updates = [words for words in WORDS if words[0] == "updateclient"]
    assert {words[1] for words in updates} == {"web[01-02]", "web01"}
    assert str(Verb("", ("verify", "web[01-02]"))) == "imaged verify 'web[01-02]'"
    assert str(Login("", "web01", "rm -f x")) == "ssh root@web01 'rm -f x'"


@pytest.mark.parametrize("more", [(), ("--ssh-key", "key", "--until", "transfer")])
def test_updates_are_refused_without_a_way_into_the_nodes(more: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="ssh"):
        CliRunner().invoke(command, ("--image", "x", "--update", *more), catch_exceptions=False)
