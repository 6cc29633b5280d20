"""Tokens of the API in the database."""

import pytest
import sqlalchemy as sa

from imaged.model.access import Role
from imaged.model.errors import Conflict, NotFound
from imaged.store.apitokens import ApiTokens
from imaged.store.events import Events
from imaged.store.tables import tables


def test_a_token_is_found_by_its_secret_and_by_nothing_else(engine: sa.Engine) -> None:
    tokens = ApiTokens(engine)
    secret = tokens.add("ci", Role.OPERATOR, 50.0)
    found = tokens.find(secret, 7.0)
    assert found and (found.name, found.role, found.expires) == ("ci", Role.OPERATOR, 50.0)
    assert tokens.find("ci", 7.0) is None
    assert tokens.find(secret + "x", 7.0) is None
    assert tokens.add("other", Role.READ, None) != secret
    with pytest.raises(Conflict, match="a token 'ci' already"):
        tokens.add("ci", Role.READ, None)


def test_the_secret_is_nowhere(engine: sa.Engine) -> None:
    secret = ApiTokens(engine).add("ci", Role.READ, None)
    with engine.connect() as connection:
        dump = str([connection.execute(sa.select(table)).all() for table in tables.sorted_tables])
    assert "'ci'" in dump
    assert secret not in dump


def test_its_use_is_noted_once_a_minute(engine: sa.Engine) -> None:
    tokens = ApiTokens(engine)
    secret = tokens.add("ci", Role.READ, None)
    used = []
    for now in (100.0, 130.0, 160.0, 161.0):
        tokens.find(secret, now)
        used.append(tokens.all()[0].used)
    assert used == [100.0, 100.0, 160.0, 160.0]


def test_tokens_are_removed_all_or_none(engine: sa.Engine) -> None:
    tokens = ApiTokens(engine)
    secret = tokens.add("ci", Role.READ, None)
    with pytest.raises(NotFound, match="no token 'no'"):
        tokens.remove(["ci", "no"])
    assert tokens.find(secret, 0.0)
    tokens.remove(["ci", "ci"])
    assert (tokens.find(secret, 0.0), tokens.all()) == (None, ())
    assert [event.what for event in Events(engine).last(10, ["ci"])] == ["token added", "token removed"]
