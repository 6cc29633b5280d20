"""Users of the web page: made, given another password, taken away; and whoever logs in."""

import time
from collections.abc import Sequence

from imaged.admin.desk import Desk
from imaged.model.access import Caller, Role
from imaged.model.errors import Denied
from imaged.model.people import Session, User, password, user_name
from imaged.planning import sessions
from imaged.planning.access import by_token
from imaged.planning.sessions import TOKEN, USER
from imaged.store.apitokens import ApiTokens
from imaged.store.people import Sessions, Users

_WRONG = "no user has this password, and no token is this one"


def add(desk: Desk, name: str, role: Role, word: str) -> User:
    """Raises BadInput, and Conflict when there is one of that name."""
    return Users(desk.engine).add(user_name(name), role, password(word))


def set_password(desk: Desk, name: str, word: str) -> None:
    """Raises BadInput, NotFound."""
    Users(desk.engine).set_password(name, password(word))


def every(desk: Desk) -> tuple[User, ...]:
    """By name."""
    return Users(desk.engine).all()


def remove(desk: Desk, names: Sequence[str]) -> None:
    """They are logged out at once. All of them exist, or none is removed. Raises NotFound."""
    Users(desk.engine).remove(names)


def log_in(desk: Desk, user: str, secret: str, now: float) -> str:
    """By a user's password, or by a token without a user: the secret of a new session. Raises Denied. Slow."""
    expires = now + desk.settings.web.session
    if user:
        found = Users(desk.engine).proved(user, secret)
        if found is None:
            raise Denied(_WRONG)
        session = Session(USER, found.name, found.changed, expires)
    else:
        token = ApiTokens(desk.engine).find(secret, now)
        by_token(token, now)
        assert token is not None  # or it would have been refused
        session = Session(TOKEN, token.name, token.created, min(expires, token.expires or expires))
    return Sessions(desk.engine).begin(session, now)


def caller(desk: Desk, secret: str, now: float | None = None) -> Caller | None:
    """Whose session this is; None: nobody's."""
    found = Sessions(desk.engine).find(secret) if secret else None
    if found is None:
        return None
    token = user = None
    if found.by == TOKEN:
        token = next((each for each in ApiTokens(desk.engine).all() if each.name == found.name), None)
    else:
        user = Users(desk.engine).get(found.name)
    return sessions.resumed(found, token, user, time.time() if now is None else now)


def log_out(desk: Desk, secret: str) -> None:
    """The session is over."""
    Sessions(desk.engine).end(secret)
