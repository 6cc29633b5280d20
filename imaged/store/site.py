"""The server's own identity: a random UUID, chosen once, from which the identities of its nodes derive."""

from uuid import UUID, uuid4

import sqlalchemy as sa

from imaged.store.database import word


def site_uuid(engine: sa.Engine) -> UUID:
    """The same for the life of the database."""
    return UUID(word(engine, "site", str(uuid4())))
