"""All nodes at a glance, for pages that stay open: only what was written since the last look is read again."""

import threading
from collections.abc import Collection, Mapping

import sqlalchemy as sa
from attrs import evolve, frozen

from imaged.admin.monitor import Sizes, Tracks
from imaged.model.foreign import Foreign
from imaged.model.life import Life
from imaged.model.node import NodeState
from imaged.model.report import Status
from imaged.planning import foreign
from imaged.planning.course import Course, Track, course
from imaged.planning.following import Place
from imaged.store.foreign import Foreigners
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.lives import Lives
from imaged.store.news import Reader, Told

_BATCH = 1000  # events at once; more than that since the last look, and everything is read again
_MOVE = 2.0  # seconds between two looks at how far those have come of whom nothing is heard
_HEARD = 20.0  # seconds between two looks for whom was heard of: a machine that asks for an address is no event
_ANEW = 300.0  # seconds after which everything is read again, should something have been written without a word
_LATE = 60.0  # seconds by which such a time may be written later, or by another server's clock
_NEVER = float("-inf")


@frozen
class Glance:
    """``groups`` are the nodes in each, in the order in which groups are applied; ``foreign`` are SystemImager's.

    ``number`` grows with everything that is different, and with everything that anybody has written.
    """

    lives: Mapping[str, Life] = {}
    courses: Mapping[str, Course] = {}
    groups: Mapping[str, tuple[str, ...]] = {}
    foreign: tuple[Course, ...] = ()
    number: int = 0


class Board:
    """One for everybody who looks, from any thread."""

    def __init__(self, engine: sa.Engine, images: Images) -> None:
        self._lives = Lives(engine)
        self._groups = Groups(engine)
        self._foreigners = Foreigners(engine)
        self._foreign: tuple[Foreign, ...] = ()
        self._follower = Tracks(engine)
        self._tracks: Mapping[str, Track] = {}
        self._reader = Reader(engine)
        self._sizes = Sizes(images)
        self._turn = threading.Lock()
        self._place: Place | None = None
        self._version: object = None
        self._read = self._heard = _NEVER
        self._moved = 0.0
        self._last = Glance()

    def look(self, now: float) -> Glance:
        """As things are at ``now`` (seconds since the epoch). What was returned before stays as it was."""
        with self._turn:
            version = self._follower.version()
            if version != self._version:
                self._follow(now)
                self._version = version
            else:
                self._show(self._last.lives, self._last.groups, (), now, written=False)
            return self._last

    def _follow(self, now: float) -> None:
        read, self._read = self._read, _NEVER  # should this fail: what it heard is not told twice
        heard: list[Told] = []
        self._foreign = self._foreigners.all()
        self._tracks = self._follower.follow(heard.append)
        spoken_of = self._changed()
        if spoken_of is None or not 0 <= now - read < _ANEW:
            lives = {life.node: life for life in self._lives.all()}
            self._show(lives, self._groups.members(), lives.keys(), now)
            self._read = self._heard = now
            return
        changed = spoken_of | {told.node for told in heard if told.report.status is not Status.PROGRESS}
        if now - self._heard >= _HEARD:
            changed |= self._lives.heard_of(self._heard - _LATE)
            self._heard = now
        lives = dict(self._last.lives)
        for name in changed:
            lives.pop(name, None)
        for told in heard:  # progress, most of it: a time is all that it changes of a life
            if told.node in lives:
                lives[told.node] = evolve(lives[told.node], last_seen=told.time)
        lives |= {life.node: life for life in self._lives.of(changed)}
        groups = self._groups.members() if spoken_of else self._last.groups  # who joins or leaves one is an event
        self._show(lives, groups, changed | {told.node for told in heard}, now)
        self._read = read

    def _changed(self) -> set[str] | None:
        """The nodes that events speak of; None: too many to tell, or of what all nodes may depend on."""
        if self._place is None:
            self._place = Place(self._reader.newest()[0])
            return None
        found = self._reader.events(self._place.last, self._place.wanted, _BATCH)
        self._place = self._place.after([each.id for each in found], ordered=self._reader.ordered)
        if len(found) == _BATCH:
            self._place = None
            return self._changed()
        return None if any(each.what.startswith("group ") for each in found) else {each.subject for each in found}

    def _show(
        self, lives: Mapping[str, Life], groups: Mapping[str, tuple[str, ...]], named: Collection[str], now: float,
        *, written: bool = True,
    ) -> None:  # fmt: skip
        last = self._last
        if not 0 <= now - self._moved < _MOVE:
            self._moved = now
            named = {*named, *(name for name, life in lives.items() if _moves(life))}
        elif not written:
            return
        courses = dict(last.courses)
        for gone in last.lives.keys() - lives.keys():
            del courses[gone]
        for name in named:
            if life := lives.get(name):
                courses[name] = course(life, self._tracks.get(name), now, self._sizes.of(life.installing))
        fresh = (each for each in self._foreign if now - each.last_seen < foreign.FORGOTTEN)
        theirs = tuple(foreign.course(each, now) for each in fresh)
        if written or (lives, courses, groups, theirs) != (last.lives, last.courses, last.groups, last.foreign):
            self._last = Glance(lives, courses, groups, theirs, last.number + 1)


def _moves(life: Life) -> bool:
    """Who is under way is somewhere else with time alone."""
    return bool(life.updating) or life.state in (NodeState.INSTALLING, NodeState.INSTALLED)
