"""Who may do what, whatever way they came: by a token, by the local socket, by a session of the web page. Pure."""

from collections.abc import Iterable, Mapping

from imaged.model.access import Caller, Role, Token
from imaged.model.errors import Denied, Nobody

_ORDER = tuple(Role)  # each may what those before it may
_ROOT = "root"


def may(role: Role, needed: Role) -> bool:
    """Whether ``role`` is enough."""
    return _ORDER.index(role) >= _ORDER.index(needed)


def admit(caller: Caller | None, needed: Role) -> Caller:
    """Raises Nobody for one who has not proved who they are, Denied for one whose role is not enough."""
    if caller is None:
        raise Nobody("this needs 'Authorization: Bearer TOKEN'", hint="`imaged addtoken NAME` makes one.")
    if not may(caller.role, needed):
        raise Denied(f"this needs the role {needed.value}, and {caller.name} has {caller.role.value}")
    return caller


def by_token(token: Token | None, now: float) -> Caller:
    """Raises Nobody for a token that is not known or has expired."""
    if token is None:
        raise Nobody("this token is not known", hint="`imaged lstoken` lists those that are.")
    if token.expires is not None and token.expires <= now:
        raise Nobody("this token has expired", where=token.name, hint="`imaged addtoken` makes another.")
    return Caller(f"token:{token.name}", token.role)


def by_user(user: str, groups: Iterable[str], *, trusted: bool, roles: Mapping[str, Role]) -> Caller | None:
    """A local user as the kernel tells; ``trusted``: root, or the daemon's own. ``roles`` by user or ``@group``.

    Of several roles the highest counts. None: somebody whom nobody has said anything about.
    """
    if trusted:
        return Caller(user or _ROOT, Role.ADMIN)
    found = [roles[name] for name in (user, *(f"@{group}" for group in groups)) if name in roles]
    return Caller(user, max(found, key=_ORDER.index)) if found else None
