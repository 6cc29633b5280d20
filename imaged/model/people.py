"""People who log in to the web page, and their sessions."""

import re

from attrs import frozen

from imaged.model.access import Role
from imaged.model.errors import BadInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
SHORTEST = 10  # letters of a password
LONGEST = 1024


@frozen
class User:
    """Somebody with a password; ``changed`` is when they got the present one, in seconds since the epoch."""

    name: str
    role: Role
    changed: float


@frozen
class Session:
    """Somebody who has logged in. ``by`` is ``user`` or ``token``, ``name`` that one's; ``proof`` is when what they
    proved themselves by was made: another one of the same name is somebody else."""

    by: str
    name: str
    proof: float
    expires: float


def user_name(text: str) -> str:
    """Raises BadInput."""
    if not _NAME.fullmatch(text):
        hint = "Use 1 to 64 of a-z, 0-9, '.', '_', '@' and '-', beginning with a letter or digit."
        raise BadInput(f"{text[:80]!r} is not a name of a user", where="name", hint=hint)
    return text


def password(text: str) -> str:
    """A password that is worth keeping. Raises BadInput, which does not repeat it."""
    if not SHORTEST <= len(text) <= LONGEST:
        raise BadInput(f"a password has {SHORTEST} to {LONGEST} letters", where="password")
    return text
