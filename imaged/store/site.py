"""The server's own identity: a random UUID, chosen once, from which the identities of its nodes derive."""

from uuid import UUID, uuid4

import sqlalchemy as sa

from imaged.store.database import meta


def site_uuid(engine: sa.Engine) -> UUID:
    """The same for the life of the database."""
    with engine.begin() as connection:
        found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "site"))
        if found is None:
            found = str(uuid4())
            connection.execute(meta.insert().values(key="site", value=found))
        return UUID(found)
