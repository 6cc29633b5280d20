"""The guided setup: eight steps, each with what is there of it."""

from collections import Counter
from pathlib import Path

from attrs import evolve

from imaged.admin import rack
from imaged.daemon.pages import naming
from imaged.daemon.pages.images import layout_problem
from imaged.daemon.pages.visit import Page, See, Visit
from imaged.model.boot import RAMDISK_DIR
from imaged.model.errors import ImagedError, NotFound
from imaged.store import layouts
from imaged.store.events import Events
from imaged.store.paths import boot_loaders
from imaged.web import setup as view
from imaged.web.setup import Facts, Rehearsal

_NAMED = ("nodes", "collect")  # steps that show places
_REHEARSALS = 10


def begin(visit: Visit) -> See:
    """The first step that is not done."""
    return See(f"/setup/{view.first_open(_facts(visit))}")


def step(visit: Visit) -> Page:
    """One step."""
    key = visit.names["step"]
    guide = view.guide(key, _facts(visit))
    if guide is None:
        raise NotFound(f"the guided setup has no step {key[:40]!r}")
    if key not in _NAMED:
        return Page(f"setup/{key}", guide, guide.blocks)
    shown = naming.shown(visit)
    blocks = (*guide.blocks, *(shown.blocks if key == "collect" else ()))
    return Page(f"setup/{key}", guide, blocks, more={"naming": shown})


def _facts(visit: Visit) -> Facts:
    desk, glance = visit.desk, visit.glance()
    names = layouts.names(desk.state.layouts)
    found = rack.find(desk)
    spots = naming.spots(visit, found)
    problems = ((name, layout_problem(visit, name)) for name in names)
    return Facts(
        settings=evolve(desk.settings, authorized_keys=()),
        loaders=boot_loaders(desk.state.boot),
        ramdisks=_ramdisks(desk.state.boot),
        images=_images(visit),
        layouts=names,
        layout_problems=tuple((name, problem) for name, problem in problems if problem),
        groups=tuple(group.name for group in desk.groups.all()),
        counts=dict(sorted(Counter(each.standing.value for each in glance.courses.values()).items())),
        machines=len(desk.machines.discovered()),
        places=(sum(bool(spot.mac) for spot in spots), len(spots)),
        rehearsals=_rehearsals(visit),
        drifted=tuple((life.node, life.drift) for life in glance.lives.values() if life.drift),
    )


def _ramdisks(boot: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in (boot / RAMDISK_DIR).glob("*/initrd.img")))


def _images(visit: Visit) -> tuple[tuple[str, str], ...]:
    found = []
    for name in visit.desk.images.names():
        try:
            found.append((name, visit.desk.images.versions(name)[-1].facts.arch))
        except ImagedError:
            continue
    return tuple(found)


def _rehearsals(visit: Visit) -> tuple[Rehearsal, ...]:
    found = Events(visit.desk.engine).last(_REHEARSALS, what="rehearsal")
    return tuple(
        Rehearsal(
            each.subject, int(each.time), str(each.after.get("outcome", "")),
            ", ".join(f"{key} {text}" for key, text in each.after.items() if key != "outcome"),
        )
        for each in reversed(found)
    )  # fmt: skip
