"""Who may do what."""

import pytest

from imaged.model.access import Caller, Role, Token
from imaged.model.errors import Denied, ImagedError, Nobody
from imaged.planning.access import admit, by_token, by_user, may

READ, OPERATOR, ADMIN = Role


@pytest.mark.parametrize(
    ("role", "enough"), [(READ, (READ,)), (OPERATOR, (READ, OPERATOR)), (ADMIN, (READ, OPERATOR, ADMIN))]
)
def test_each_role_may_what_those_before_it_may(role, enough):
    assert tuple(needed for needed in Role if may(role, needed)) == enough


@pytest.mark.parametrize(
    ("caller", "needed", "kind"),
    [
        (None, READ, Nobody),
        (Caller("x", READ), OPERATOR, Denied),
        (Caller("x", OPERATOR), ADMIN, Denied),
        (Caller("x", ADMIN), ADMIN, None),
    ],
)
def test_who_is_admitted(caller, needed, kind):
    if kind is None:
        assert admit(caller, needed) == caller
        return
    with pytest.raises(ImagedError) as raised:
        admit(caller, needed)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("token", "now", "expected"),
    [
        (None, 0.0, None),
        (Token("ci", READ, 0.0, expires=10.0), 10.0, None),
        (Token("ci", READ, 0.0, expires=10.0), 9.9, Caller("token:ci", READ)),
        (Token("ci", ADMIN, 0.0), 1e12, Caller("token:ci", ADMIN)),
    ],
)
def test_a_token_is_good_until_it_expires(token, now, expected):
    if expected:
        assert by_token(token, now) == expected
    else:
        with pytest.raises(Nobody):
            by_token(token, now)


@pytest.mark.parametrize(
    ("user", "groups", "trusted", "expected"),
    [
        ("root", (), True, ADMIN),
        ("alice", (), False, OPERATOR),
        ("alice", ("staff", "admins"), False, ADMIN),
        ("bob", ("staff",), False, READ),
        ("staff", (), False, None),
        ("@staff", (), False, READ),  # no user is called so: useradd(8) refuses it
        ("mallory", ("users",), False, None),
    ],
)
def test_local_users_are_who_the_settings_say(user, groups, trusted, expected):
    roles = {"alice": OPERATOR, "@staff": READ, "@admins": ADMIN}
    found = by_user(user, groups, trusted=trusted, roles=roles)
    assert found == (Caller(user, expected) if expected else None)
