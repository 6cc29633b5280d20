"""What every verb starts from: the settings file, read when first needed."""

from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from imaged.admin.desk import Desk
from imaged.model.errors import NotFound
from imaged.model.settings import Settings
from imaged.store import settings as settings_file
from imaged.store.database import open_database
from imaged.store.paths import State

_HINT = "Write one (docs/imaged.yaml is an example) or name another with `imaged --settings FILE`."


class Context:
    """Handed to every verb as ``ctx.obj``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def settings(self) -> Settings:
        """Raises NotFound or BadInput, each naming the file."""
        try:
            return settings_file.read(self.path)
        except NotFound:
            raise NotFound("there is no settings file", where=str(self.path), hint=_HINT) from None

    @cached_property
    def state(self) -> State:
        """The state directory that the settings name."""
        return State.of(self.settings)

    @cached_property
    def engine(self) -> sa.Engine:
        """The database, opened. Raises as ``settings``, ImagedError."""
        return open_database(self.state.database)

    @cached_property
    def desk(self) -> Desk:
        """Settings, state directory and database. Raises as ``settings`` and ``engine``."""
        return Desk(self.settings, self.engine, self.path)

    def close(self) -> None:
        """What was opened."""
        if "engine" in vars(self):
            self.engine.dispose()
