"""Tokens of people and programs for the HTTP API, in the node database. Only hashes are kept."""

import secrets
import time
from collections.abc import Iterable

import sqlalchemy as sa

from imaged.model.access import Role, Token
from imaged.model.errors import NotFound
from imaged.store.database import refusing_duplicates
from imaged.store.events import note
from imaged.store.tables import api_tokens
from imaged.store.tokens import secret_hash

_LOOK = 60  # seconds between two notes of a token's use: a monitor asks every second
_PREFIX = "imaged_"  # programs that look for secrets in files find it by this


class ApiTokens:
    """The tokens of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, name: str, role: Role, expires: float | None) -> str:
        """The secret of a new token, which nobody can tell again. Raises Conflict when there is one of that name."""
        secret = _PREFIX + secrets.token_urlsafe(32)
        values = {"hash": secret_hash(secret), "role": role.value, "created": time.time(), "expires": expires}
        with (
            self._engine.begin() as connection,
            refusing_duplicates(f"there is a token {name!r} already", hint="`imaged rmtoken` removes it."),
        ):
            connection.execute(api_tokens.insert().values(name=name, **values))
            note(connection, "token added", name, {}, {"role": role.value, "expires": expires})
        return secret

    def remove(self, names: Iterable[str]) -> None:
        """All of them, or none. Raises NotFound."""
        with self._engine.begin() as connection:
            for name in dict.fromkeys(names):
                row = connection.execute(sa.select(api_tokens).where(api_tokens.c.name == name)).first()
                if row is None:
                    raise NotFound(f"no token {name!r}", hint="`imaged lstoken` lists those that there are.")
                connection.execute(api_tokens.delete().where(api_tokens.c.name == name))
                note(connection, "token removed", name, {"role": row.role, "expires": row.expires}, {})

    def all(self) -> tuple[Token, ...]:
        """By name."""
        with self._engine.connect() as connection:
            found = [_token(row) for row in connection.execute(sa.select(api_tokens))]
        return tuple(sorted(found, key=lambda token: token.name))

    def find(self, secret: str, now: float) -> Token | None:
        """The token whose secret this is, also one that has expired; its use is noted, now and then."""
        query = sa.select(api_tokens).where(api_tokens.c.hash == secret_hash(secret))
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is not None and (row.used is None or now - row.used >= _LOOK):
            with self._engine.begin() as connection:
                connection.execute(api_tokens.update().where(api_tokens.c.name == row.name).values(used=now))
        return _token(row) if row is not None else None


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    return Token(row.name, Role(row.role), row.created, row.expires, row.used)
