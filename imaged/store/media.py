"""Tokens of boot media: each gets a machine that it started a boot token, no more. Only hashes are kept."""

import secrets

import sqlalchemy as sa

from imaged.model.errors import Denied
from imaged.store.events import note
from imaged.store.tables import media
from imaged.store.tokens import secret_hash

_AGAIN = "Make a new medium: imaged mkmedia."


class Media:
    """The boot media that were made and are not too old."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def mint(self, expires: float, node: str | None = None) -> str:
        """A token for a new medium, good until ``expires`` (seconds since the epoch), for one node or for all."""
        token = secrets.token_urlsafe(24)
        with self._engine.begin() as connection:
            connection.execute(media.insert().values(hash=secret_hash(token), node=node, expires=expires))
            note(connection, "boot medium made", node or "all", {}, {"expires": expires})
        return token

    def admit(self, token: str, now: float) -> str | None:
        """The one node that the medium is for; None: any. Raises Denied for a token that is unknown or too old."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(media).where(media.c.hash == secret_hash(token))).first()
        if row is None:
            raise Denied("this boot medium is not known", hint=_AGAIN)
        if row.expires < now:
            raise Denied("this boot medium is too old", where=row.node or "", hint=_AGAIN)
        return str(row.node) if row.node else None

    def revoke(self) -> int:
        """Let no medium that was made so far start an install; returns how many could."""
        with self._engine.begin() as connection:
            count = connection.execute(media.delete()).rowcount
            note(connection, "boot media revoked", "all", {"media": count} if count else {}, {})
            return count
