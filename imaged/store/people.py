"""Users of the web page and their sessions, in the node database. Of passwords and sessions only hashes are kept."""

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable

import sqlalchemy as sa

from imaged.model.access import Role
from imaged.model.errors import NotFound
from imaged.model.people import Session, User
from imaged.store.database import refusing_duplicates
from imaged.store.events import note
from imaged.store.tables import sessions, users
from imaged.store.tokens import secret_hash

# RFC 7914: 128 * N * r bytes, so 32 MiB, and a quarter of a second; OWASP's cheat sheet on storing passwords has these.
_N, _R, _P = 2**15, 8, 3
_SALT = 16
_turn = threading.Lock()  # one password at a time: who tries many cannot fill our memory


class Users:
    """The users of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, name: str, role: Role, password: str) -> User:
        """Raises Conflict when there is one of that name."""
        user = User(name, role, time.time())
        with (
            self._engine.begin() as connection,
            refusing_duplicates(f"there is a user {name!r} already", hint="`imaged passwd` changes the password."),
        ):
            values = {"role": role.value, "password": hashed(password), "changed": user.changed}
            connection.execute(users.insert().values(name=name, **values))
            note(connection, "user added", name, {}, {"role": role.value})
        return user

    def set_password(self, name: str, password: str) -> None:
        """Whoever is logged in with the old one is so no more. Raises NotFound."""
        with self._engine.begin() as connection:
            values = {"password": hashed(password), "changed": time.time()}
            if not connection.execute(users.update().where(users.c.name == name).values(**values)).rowcount:
                raise _unknown(name)
            note(connection, "user changed", name, {}, {"password": "another"})

    def remove(self, names: Iterable[str]) -> None:
        """All of them, or none. Raises NotFound."""
        with self._engine.begin() as connection:
            for name in dict.fromkeys(names):
                role = connection.scalar(sa.select(users.c.role).where(users.c.name == name))
                if role is None:
                    raise _unknown(name)
                connection.execute(users.delete().where(users.c.name == name))
                note(connection, "user removed", name, {"role": role}, {})

    def all(self) -> tuple[User, ...]:
        """By name."""
        with self._engine.connect() as connection:
            return tuple(_user(row) for row in connection.execute(sa.select(users).order_by(users.c.name)))

    def get(self, name: str) -> User | None:
        """The user of this name, if there is one."""
        return self._find(name)[0]

    def proved(self, name: str, password: str) -> User | None:
        """The user whose password this is. A name that there is not takes as long as a wrong password."""
        user, kept = self._find(name)
        return user if fits(password, kept) else None

    def _find(self, name: str) -> tuple[User | None, str]:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).first()
        return (_user(row), row.password) if row is not None else (None, "")


class Sessions:
    """The sessions of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, session: Session, now: float) -> str:
        """The secret of a new session. Those that have expired are forgotten."""
        secret = secrets.token_urlsafe(32)
        with self._engine.begin() as connection:
            connection.execute(sessions.delete().where(sessions.c.expires <= now))
            values = {"by": session.by, "name": session.name, "proof": session.proof, "expires": session.expires}
            connection.execute(sessions.insert().values(hash=secret_hash(secret), **values))
        return secret

    def find(self, secret: str) -> Session | None:
        """The session whose secret this is, also one that has expired."""
        query = sa.select(sessions).where(sessions.c.hash == secret_hash(secret))
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return Session(row.by, row.name, row.proof, row.expires) if row is not None else None

    def end(self, secret: str) -> None:
        """It is nobody's any more."""
        with self._engine.begin() as connection:
            connection.execute(sessions.delete().where(sessions.c.hash == secret_hash(secret)))


def hashed(password: str) -> str:
    """As it is kept."""
    salt = secrets.token_bytes(_SALT)
    parts = (base64.b64encode(each).decode() for each in (salt, _scrypt(password, salt, _N, _R, _P)))
    return ":".join(("scrypt", str(_N), str(_R), str(_P), *parts))


def fits(password: str, kept: str) -> bool:
    """Whether this is the password of which ``kept`` is left; empty: of nobody, found out as slowly."""
    _, n, r, p, salt, digest = (kept or f"scrypt:{_N}:{_R}:{_P}:{'A' * 24}:").split(":")
    made = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    with _turn:
        words = password.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(words, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _user(row: sa.Row[tuple[object, ...]]) -> User:
    return User(row.name, Role(row.role), row.changed)


def _unknown(name: str) -> NotFound:
    return NotFound(f"no user {name!r}", hint="`imaged lsuser` lists those that there are.")
