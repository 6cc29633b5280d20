"""Who may come in: tokens of the API, and users of the web page."""

from attrs import field, frozen

from imaged.admin import people, tokens
from imaged.admin.tokens import MadeToken, NewToken
from imaged.daemon.api.route import Call
from imaged.model.access import Caller, Role, Token
from imaged.model.people import LONGEST, SHORTEST, User

_WORD = {"limits": {"minLength": SHORTEST, "maxLength": LONGEST}}


@frozen
class TokenList:
    """By name."""

    tokens: tuple[Token, ...]


@frozen
class UserList:
    """By name."""

    users: tuple[User, ...]


@frozen
class NewUser:
    """Somebody who is to log in to the page."""

    name: str = field(metadata={"limits": {"pattern": "^[a-z0-9][a-z0-9._@-]{0,63}$"}})
    password: str = field(repr=False, metadata=_WORD)
    role: Role = Role.READ


@frozen
class Password:
    """Another password."""

    password: str = field(repr=False, metadata=_WORD)


def every_token(call: Call[None, None]) -> TokenList:
    """List tokens. What proves them is not known here."""
    return TokenList(tokens.every(call.desk))


def add_token(call: Call[None, NewToken]) -> MadeToken:
    """Make a token. Its secret is told this once."""
    return tokens.add(call.desk, call.body)


def remove_token(call: Call[None, None]) -> None:
    """Take a token away: whoever has it is nobody from now on."""
    tokens.remove(call.desk, (call.path["name"],))


def every_user(call: Call[None, None]) -> UserList:
    """List the users of the web page. What proves them is not known here."""
    return UserList(people.every(call.desk))


def add_user(call: Call[None, NewUser]) -> User:
    """Make a user of the web page."""
    return people.add(call.desk, call.body.name, call.body.role, call.body.password)


def set_password(call: Call[None, Password]) -> None:
    """Give a user another password. Whoever is logged in with the old one is logged out."""
    people.set_password(call.desk, call.path["name"], call.body.password)


def remove_user(call: Call[None, None]) -> None:
    """Take a user away: they are logged out at once."""
    people.remove(call.desk, (call.path["name"],))


def who_am_i(call: Call[None, None]) -> Caller:
    """Who you are, and what you may do."""
    assert call.caller is not None  # the route needs a role
    return call.caller
