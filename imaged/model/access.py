"""Who asks for something over the API, and what they may do."""

import re
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.names import WORD


class Role(Enum):
    """What somebody may do; each may what those before it may.

    ``read`` looks. ``operator`` lets nodes boot, be installed and updated, and gives names to machines. ``admin``
    defines nodes, groups, channels and tokens.
    """

    READ = "read"
    OPERATOR = "operator"
    ADMIN = "admin"


@frozen
class Caller:
    """Somebody who has proved who they are. ``name`` is what events call them: ``token:ci``, ``root``."""

    name: str
    role: Role


@frozen
class Token:
    """A token, without what proves it. Times in seconds since the epoch; None: it never expires, was never used."""

    name: str
    role: Role
    created: float
    expires: float | None = None
    used: float | None = None


def token_name(text: str) -> str:
    """Raises BadInput."""
    if not re.fullmatch(WORD, text):
        hint = "Use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit."
        raise BadInput(f"{text[:80]!r} is not a name of a token", where="name", hint=hint)
    return text
