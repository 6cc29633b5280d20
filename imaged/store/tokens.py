"""How a node proves itself: one-time boot tokens, and the secret a claim binds to the node. Only hashes are kept."""

import hashlib
import secrets

import sqlalchemy as sa

from imaged.model.errors import Denied
from imaged.store.database import nodes, tokens

_AGAIN = "Boot the machine from the network again: every boot script carries a fresh token."


class Tokens:
    """Boot tokens and node secrets in the node database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def mint(self, node: str, expires: float) -> str:
        """A fresh token for one install of ``node``; good until ``expires`` (seconds since the epoch)."""
        token = secrets.token_urlsafe(24)
        with self._engine.begin() as connection:
            connection.execute(tokens.insert().values(hash=secret_hash(token), node=node, expires=expires))
        return token

    def claim(self, token: str, secret: str, now: float) -> str:
        """The node whose install this token starts; ``secret`` proves it from now on.

        The same token with the same secret is the same claim (its answer was lost). Raises Denied for a token that
        is unknown, too old, or was used by somebody else.
        """
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.hash == secret_hash(token))).first()
            if row is None:
                raise Denied("this boot token is not known", hint=_AGAIN)
            if row.used_by not in (None, secret_hash(secret)):
                raise Denied("this boot token was used already", where=row.node, hint=_AGAIN)
            if row.used_by is None and row.expires < now:
                raise Denied("this boot token is too old", where=row.node, hint=_AGAIN)
            connection.execute(tokens.delete().where(tokens.c.expires < now - 86400))
            if row.used_by is None:
                connection.execute(tokens.update().where(tokens.c.hash == row.hash).values(used_by=secret_hash(secret)))
                connection.execute(
                    nodes.update().where(nodes.c.name == row.node).values(secret_hash=secret_hash(secret))
                )
            return str(row.node)

    def look(self, token: str, now: float) -> str:
        """The node that a boot token is for; it stays unused. Raises Denied."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.hash == secret_hash(token))).first()
        if row is None or row.expires < now:
            raise Denied("this boot token is not known or too old", hint=_AGAIN)
        return str(row.node)

    def holder(self, secret: str) -> str:
        """The node that proves itself by ``secret``. Raises Denied."""
        query = sa.select(nodes.c.name).where(nodes.c.secret_hash == secret_hash(secret))
        with self._engine.connect() as connection:
            name = connection.scalar(query)
        if name is None:
            raise Denied("this secret is no node's", hint="The node was re-installed or removed since.")
        return str(name)


def secret_hash(secret: str) -> str:
    """What is kept of a secret. The secrets are random and long, so a plain hash is as good as a slow one."""
    return hashlib.sha256(secret.encode()).hexdigest()
