"""How nodes do at a moment, for everybody who shows it or acts on it: the database followed, a course for each node."""

import threading
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from imaged.model.errors import ImagedError
from imaged.model.foreign import Foreign
from imaged.model.life import Life
from imaged.model.names import ImageRef
from imaged.planning import foreign
from imaged.planning.course import Course, Track, course, stalled_by, told
from imaged.planning.following import Place
from imaged.store.foreign import Foreigners
from imaged.store.images import Images
from imaged.store.lives import Lives
from imaged.store.news import Reader, Told
from imaged.store.nodes import Nodes

_BATCH = 10_000  # reports at once


class Tracks:
    """The track of each node that installs or updates, kept up with what is written. One thread at a time."""

    def __init__(self, engine: sa.Engine) -> None:
        self._lives = Lives(engine)
        self._reader = Reader(engine)
        self._place: Place | None = None
        self._tracks: dict[str, Track] = {}

    def version(self) -> object:
        """As ``Reader.version``."""
        return self._reader.version()

    def follow(self, hear: Callable[[Told], object] = lambda _: None) -> Mapping[str, Track]:
        """As things are now. ``hear`` is told each report that was written since the last time."""
        if self._place is None:
            self._place = Place(self._reader.newest()[1])  # first: what comes meanwhile is only told twice
            self._take(self._lives.reports())
        whole = False
        while not whole:
            found = self._reader.reports(self._place.last, self._place.wanted, _BATCH)
            self._place = self._place.after([each.id for each in found], ordered=self._reader.ordered)
            self._take(found)
            for each in found:
                hear(each)
            whole = len(found) < _BATCH
        return self._tracks

    def _take(self, found: tuple[Told, ...]) -> None:
        for each in found:
            track = told(self._tracks.get(each.node), each.time, each.report)
            if track:
                self._tracks[each.node] = track
            else:
                self._tracks.pop(each.node, None)


class Sizes:
    """How many bytes versions have, each looked up once."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._known: dict[str, int] = {"": 0}

    def of(self, ref: str) -> int:
        """``compute@3``; 0 for one that is gone."""
        if ref not in self._known:
            try:
                self._known[ref] = self._images.resolve(ImageRef.parse(ref)).bytes
            except ImagedError:
                self._known[ref] = 0
        return self._known[ref]


class Monitor:
    """``look`` as often as is wanted, from any thread: what nobody has written to since is not read again."""

    def __init__(self, engine: sa.Engine, images: Images) -> None:
        self._lives = Lives(engine)
        self._follower = Tracks(engine)
        self._sizes = Sizes(images)
        self._version: object = None
        self._turn = threading.Lock()
        self.known: tuple[Life, ...] = ()  # the lives behind the last look
        self._foreigners = Foreigners(engine)
        self._foreign: tuple[Foreign, ...] = ()
        self._tracks: Mapping[str, Track] = {}

    def look(self, now: float) -> tuple[Course, ...]:
        """Every node's course at ``now`` (seconds since the epoch), by name; then of machines of SystemImager's."""
        with self._turn:
            version = self._follower.version()
            if version != self._version:
                self._tracks = dict(self._follower.follow())
                self.known = self._lives.all()
                self._foreign = self._foreigners.all()
                self._version = version
        ours = (course(each, self._tracks.get(each.node), now, self._sizes.of(each.installing)) for each in self.known)
        fresh = (each for each in self._foreign if now - each.last_seen < foreign.FORGOTTEN)
        return (*ours, *(foreign.course(each, now) for each in fresh))


class Stalls:
    """Makes an event of every node that stalls, and of every one that goes on."""

    def __init__(self, engine: sa.Engine) -> None:
        self._nodes = Nodes(engine)
        self._lives = Lives(engine)
        self._tracks = Tracks(engine)

    def look(self, now: float) -> None:
        """At all nodes that are under way."""
        tracks = self._tracks.follow()
        for life in self._lives.under_way():
            why = stalled_by(life, tracks.get(life.node), now)
            if bool(why) != bool(life.stalled):
                self._nodes.keep(life.node, told="node stalled" if why else "node goes on", stalled=why or None)
