"""Tokens of boot scripts by which a machine may tell its hardware, and nothing else. None of them is stored."""

import hashlib
import hmac
import secrets

import sqlalchemy as sa

from imaged.model.errors import Denied
from imaged.model.net import Mac
from imaged.store.database import word


class Visits:
    """Tokens that a key of the database proves. Anybody can ask for a script: a row for each would fill the disk."""

    def __init__(self, engine: sa.Engine) -> None:
        self._key = bytes.fromhex(word(engine, "visits", secrets.token_hex(32)))

    def mint(self, who: Mac, expires: float) -> str:
        """For the machine with the MAC ``who``; good until ``expires`` (seconds since the epoch)."""
        said = f"{int(expires)}/{who}"
        return f"{said}/{self._proof(said)}"

    def admit(self, token: str, now: float) -> Mac:
        """Whose it is. Raises Denied."""
        said, _, proof = token.rpartition("/")
        expires, _, who = said.partition("/")
        if not hmac.compare_digest(proof.encode(), self._proof(said).encode()):
            raise Denied("this token is not of a boot script of ours", hint="Boot the machine from the network again.")
        if int(expires) < now:
            raise Denied("this boot script is too old", where=who, hint="Boot the machine from the network again.")
        return Mac(who)

    def _proof(self, said: str) -> str:
        return hmac.new(self._key, said.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]
