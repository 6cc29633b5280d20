"""A cheap word for "nothing has changed in what lies over this node's image", for the daemon and for lists alike."""

import os
import time
from collections.abc import Callable

from imaged.model.override import layer_names
from imaged.store import lowest
from imaged.store.layers import Look, Watch, combined
from imaged.store.paths import State

PROTECT = ".protect"
_OF_UPDATES = "post-update"  # the scripts that a running node's plan holds


class Generations:
    """Of the layers of one server. ``clock`` counts seconds, for how often they are looked at."""

    def __init__(self, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._overrides = f"{state.root}/overrides"
        self._files = f"{state.root}/scripts/{_OF_UPDATES}", str(state.syncfiles)
        self._watch = Watch(clock)
        self._names: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._shared: dict[tuple[str, tuple[str, ...]], Look] = {}

    def of(self, node: str, image: str, groups: tuple[str, ...]) -> str:
        """The same 16 hex digits as long as no layer of this node, no list of protected paths, no post-update script
        and not the list of synced files changed.

        Cheap: each layer is walked once a second at most for all nodes together (see ``Watch``), so most questions
        cost no system call at all, and the answer is up to that much late.
        """
        now = self._watch.clock()
        shared = self._shared.get((image, groups))
        if shared is None or now >= shared.until:
            shared = self._shared[image, groups] = self._look(layer_names(image, groups), *self._files)
        if now >= self._names[0]:
            self._names = now + 1.0, _names(f"{self._overrides}/node")
        if node not in self._names[1] and f"{node}{PROTECT}" not in self._names[1]:  # as it is with most of thousands
            return combined((shared.fingerprint, node))
        return combined((shared.fingerprint, node, self._look((f"node/{node}",)).fingerprint))

    def _look(self, names: tuple[str, ...], *more: str) -> Look:
        """Of these layers together, and of ``more`` paths."""
        paths = [path for name in names for path in (f"{self._overrides}/{name}", f"{self._overrides}/{name}{PROTECT}")]
        looks = [self._watch.look(path) for path in (*paths, *more)]
        parts = (lowest.fingerprint(), *names, *(look.fingerprint for look in looks))
        return Look(combined(parts), min(look.until for look in looks))


def _names(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))  # noqa: PTH208 - names
    except OSError:
        return frozenset()
