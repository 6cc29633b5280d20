"""Users and sessions: what is kept of them, and who is let in."""

import pytest
import sqlalchemy as sa

from imaged.model.access import Role
from imaged.model.errors import Conflict, NotFound
from imaged.model.people import Session
from imaged.store.database import open_database
from imaged.store.events import Events
from imaged.store.people import Sessions, Users, fits


@pytest.fixture
def engine(tmp_path):
    return open_database(tmp_path / "db.sqlite")


def test_a_user_by_password(engine):
    users = Users(engine)
    made = users.add("anna", Role.ADMIN, "correct horse")
    assert users.proved("anna", "correct horse") == users.get("anna") == made
    assert users.proved("anna", "correct Horse") is None
    assert users.proved("nobody", "") is None
    assert users.proved("anna", "\udc80") is None
    with pytest.raises(Conflict):
        users.add("anna", Role.READ, "another one")
    users.set_password("anna", "another one")
    assert users.proved("anna", "correct horse") is None
    assert users.proved("anna", "another one").changed > made.changed
    with pytest.raises(NotFound):
        users.set_password("bob", "another one")
    with pytest.raises(NotFound):
        users.remove(["anna", "bob"])
    assert [user.name for user in users.all()] == ["anna"]
    users.remove(["anna"])
    assert users.all() == ()
    assert [event.what for event in Events(engine).last(9)] == ["user added", "user changed", "user removed"]


def test_no_password_is_kept(engine):
    Users(engine).add("anna", Role.ADMIN, "correct horse")
    with engine.connect() as connection:
        kept = str(connection.execute(sa.text("select * from users")).all())
        told = str(connection.execute(sa.text("select * from events")).all())
    assert "horse" not in kept + told and "scrypt" not in told


def test_equal_passwords_are_kept_differently_and_of_nobody_is_none():
    assert not fits("", "") and not fits("x", "")


def test_a_session(engine):
    sessions = Sessions(engine)
    kept = Session("token", "ci", 1.0, 100.0)
    secret = sessions.begin(kept, 10.0)
    assert sessions.find(secret) == kept
    assert sessions.find("another") is None
    with engine.connect() as connection:
        assert secret not in str(connection.execute(sa.text("select * from sessions")).all())
    sessions.begin(kept, 100.0)
    assert sessions.find(secret) is None, "it has expired, and is forgotten when the next begins"
    other = sessions.begin(kept, 10.0)
    sessions.end(other)
    assert sessions.find(other) is None
