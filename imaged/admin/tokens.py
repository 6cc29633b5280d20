"""Tokens of the HTTP API: made and taken away."""

import time
from collections.abc import Sequence

from attrs import field, frozen

from imaged.admin.desk import Desk
from imaged.model.access import Role, Token, token_name
from imaged.model.errors import BadInput
from imaged.model.names import WORD

_DAY = 86400
_LONGEST = 36500  # days


@frozen
class NewToken:
    """A token that is to be; ``days``: how long it is good, None: until it is removed."""

    name: str = field(metadata={"limits": {"pattern": f"^{WORD}$"}})
    role: Role = Role.READ
    days: int | None = field(default=None, metadata={"limits": {"minimum": 1, "maximum": _LONGEST}})


@frozen
class MadeToken:
    """``secret`` is what proves it. It is told this once and kept nowhere."""

    name: str
    role: Role
    secret: str
    expires: float | None = None


def add(desk: Desk, new: NewToken) -> MadeToken:
    """Raises BadInput, and Conflict when there is one of that name."""
    if new.days is not None and not 1 <= new.days <= _LONGEST:
        raise BadInput(f"{new.days} is not within 1 to {_LONGEST} days", where="days")
    expires = time.time() + new.days * _DAY if new.days is not None else None
    secret = desk.tokens.add(token_name(new.name), new.role, expires)
    return MadeToken(new.name, new.role, secret, expires)


def every(desk: Desk) -> tuple[Token, ...]:
    """By name."""
    return desk.tokens.all()


def remove(desk: Desk, names: Sequence[str]) -> None:
    """Whoever has one is nobody from now on. All of them exist, or none is removed. Raises NotFound."""
    desk.tokens.remove(names)
