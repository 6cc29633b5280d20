"""How a node proves itself: one-time boot tokens, and the secret a claim binds to the node.

A token is proved by a key of the database and written down, as a hash, when it is claimed: a rack that boots asks for
thousands, each of which would be a commit. It holds when it expires, the node's first MAC, and 32 bits by chance, so
that two boots within a second have two tokens; its proof covers the node's name too. In 40 characters, for a kernel's
command line is short.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct

import sqlalchemy as sa

from imaged.model.errors import Denied
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import insert_missing, word
from imaged.store.tables import nics, nodes, tokens

_SAID = struct.Struct("!I6s4s")  # expires, MAC, chance
_PROOF = 16  # bytes
_AGAIN = "Boot the machine from the network again: every boot script carries a fresh token."
# Built once: every report asks whose it is, and building it takes longer than the answer.
_HOLDER = sa.select(nodes.c.name).where(nodes.c.secret_hash == sa.bindparam("hash"))


class Tokens:
    """Boot tokens and node secrets in the node database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._key = bytes.fromhex(word(engine, "boot tokens", secrets.token_hex(32)))

    def mint(self, node: Node, expires: float) -> str:
        """A fresh token for one install of ``node``; good until ``expires`` (seconds since the epoch)."""
        said = _SAID.pack(int(expires), node.macs[0].packed, secrets.token_bytes(4))
        return base64.urlsafe_b64encode(said + self._proof(said, node.name)).decode()

    def claim(self, token: str, secret: str, now: float) -> str:
        """The node whose install this token starts; ``secret`` proves it from now on.

        The same token with the same secret is the same claim (its answer was lost). Raises Denied for a token that
        is unknown, too old, or was used by somebody else.
        """
        mine = sa.select(tokens).where(tokens.c.hash == secret_hash(token)).with_for_update()
        with self._engine.begin() as connection:
            row = connection.execute(mine).first()
            if row is None:
                name, expires = self._read(connection, token)
                fresh = {"hash": secret_hash(token), "node": name, "expires": expires}
                connection.execute(insert_missing(connection, tokens), fresh)
                row = connection.execute(mine).one()  # another process may have been faster
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
            name, expires = self._read(connection, token)
        if expires < now:
            raise Denied("this boot token is too old", where=name, hint=_AGAIN)
        return name

    def _read(self, connection: sa.Connection, token: str) -> tuple[str, float]:
        """Which node a token is for, and when it expires. Raises Denied for one that we did not make for that node."""
        try:
            raw = base64.urlsafe_b64decode(token.encode())
            said, proof = raw[: _SAID.size], raw[_SAID.size :]
            expires, mac, _ = _SAID.unpack(said)
        except (binascii.Error, struct.error, UnicodeEncodeError, ValueError):
            raise Denied("this boot token is not known", hint=_AGAIN) from None
        name = connection.scalar(sa.select(nics.c.node).where(nics.c.mac == str(Mac.from_bytes(mac))))
        if name is None or not hmac.compare_digest(proof, self._proof(said, name)):
            raise Denied("this boot token is not known", hint=_AGAIN)
        return str(name), float(expires)

    def _proof(self, said: bytes, name: str) -> bytes:
        """BLAKE2 takes a key by itself (RFC 7693), and a third of the time of an HMAC."""
        return hashlib.blake2b(said + name.encode(), key=self._key, digest_size=_PROOF).digest()

    def holder(self, secret: str) -> str:
        """The node that proves itself by ``secret``. Raises Denied."""
        with self._engine.connect() as connection:
            name = connection.scalar(_HOLDER, {"hash": secret_hash(secret)})
        if name is None:
            raise Denied("this secret is no node's", hint="The node was re-installed or removed since.")
        return str(name)


def secret_hash(secret: str) -> str:
    """What is kept of a secret. The secrets are random and long, so a plain hash is as good as a slow one."""
    return hashlib.sha256(secret.encode()).hexdigest()
