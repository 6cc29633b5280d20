"""Where an administrator works: the settings, the state directory and the database of one server, with their stores."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imaged.model.settings import Settings
from imaged.store.apitokens import ApiTokens
from imaged.store.database import open_database
from imaged.store.events import Events
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.images import Images
from imaged.store.machines import Machines
from imaged.store.nodes import Nodes
from imaged.store.paths import State
from imaged.store.settings import DEFAULT_PATH
from imaged.store.stateruns import StateRuns

if TYPE_CHECKING:
    from imaged.admin.jobs import Jobs
    from imaged.admin.monitor import Monitor


class Desk:
    """Handed to every operation. The command line has one for each verb, the daemon one for all requests.

    ``path`` is the settings file, for programs that read it themselves.
    """

    def __init__(self, settings: Settings, engine: sa.Engine | None = None, path: Path = DEFAULT_PATH) -> None:
        self.settings = settings
        self.path = path
        self.state = State.of(settings)
        self.engine = engine or open_database(self.state.database)
        self.nodes = Nodes(self.engine)
        self.machines = Machines(self.engine)
        self.groups = Groups(self.engine)
        self.hosts = Hosts(self.engine)
        self.images = Images(self.state.images, note=Events(self.engine).change)
        self.tokens = ApiTokens(self.engine)
        self.runs = StateRuns(self.engine)

    # What few verbs need takes as long to load as thousands of nodes to be listed.

    @cached_property
    def jobs(self) -> "Jobs":
        """Work that goes on behind a request."""
        from imaged.admin.jobs import Jobs

        return Jobs()

    @cached_property
    def monitor(self) -> "Monitor":
        """How all nodes do."""
        from imaged.admin.monitor import Monitor

        return Monitor(self.engine, self.images)
