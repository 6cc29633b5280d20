"""How a span of space is shared out among partitions: systemd-repart's model (repart.d(5)), in exact integers.

``allocate`` with ``REPART`` gives what systemd-repart 252 gives. Ours differs in the grain and in who gets the crumbs:
repart hands what is left over to the first partition, which on a small disk makes swap a third of it.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import frozen

from imaged.model.errors import CannotPlan
from imaged.model.size import MIB, format_size


class Leftover(Enum):
    """Who gets what rounding and maxima leave over."""

    HEAVIEST = "heaviest"  # the largest weight first, the first of equals; weight 0 never
    FIRST = "first"


@frozen
class Rules:
    """``grain`` in bytes: every size is a multiple of it."""

    grain: int = MIB
    leftover: Leftover = Leftover.HEAVIEST


OURS = Rules()
REPART = Rules(grain=4096, leftover=Leftover.FIRST)


@frozen
class Demand:
    """What one partition asks for; sizes in bytes. ``why`` says in an error where ``min`` comes from."""

    name: str
    min: int
    max: int | None = None
    weight: int = 1000
    priority: int = 0
    why: str = ""


@frozen
class _Bounds:
    """A demand on the grain, and its place in the order asked for."""

    index: int
    min: int
    max: int | None
    weight: int


def allocate(demands: Sequence[Demand], space: int, rules: Rules = OURS) -> tuple[int | None, ...]:
    """Bytes for each demand in order, None for those left out because of their priority.

    ``space`` is rounded down to the grain. All of it is given out, unless every demand with a weight is at its
    maximum. Raises CannotPlan that says how many bytes are missing.
    """
    space = space // rules.grain * rules.grain
    kept = _kept([(_bounds(index, demand, rules.grain), demand) for index, demand in enumerate(demands)], space)
    sizes = _shares([bounds for bounds, _ in kept], space, rules.grain)
    _give_leftover([bounds for bounds, _ in kept], sizes, space, rules.leftover)
    return tuple(sizes.get(index) for index in range(len(demands)))


def _bounds(index: int, demand: Demand, grain: int) -> _Bounds:
    low = -(-demand.min // grain) * grain
    high = None if demand.max is None else max(low, demand.max // grain * grain)
    return _Bounds(index, low, high, demand.weight)


def _kept(asked: list[tuple[_Bounds, Demand]], space: int) -> list[tuple[_Bounds, Demand]]:
    """Without all of the numerically highest priority above 0, again and again, until the minima fit."""
    kept = asked
    while (total := sum(bounds.min for bounds, _ in kept)) > space:
        worst = max((demand.priority for _, demand in kept), default=0)
        if worst <= 0:
            raise CannotPlan(_too_small(kept, total, space), hint="\n  ".join(_asked(kept)))
        kept = [each for each in kept if each[1].priority < worst]
    return kept


def _too_small(kept: Sequence[tuple[_Bounds, Demand]], total: int, space: int) -> str:
    missing, room = total - space, format_size(max(space, 0))
    who = "1 partition needs" if len(kept) == 1 else f"{len(kept)} partitions need"
    return f"{format_size(missing)} are missing ({missing} bytes): {who} {format_size(total)}, there is room for {room}"


def _asked(kept: Sequence[tuple[_Bounds, Demand]]) -> list[str]:
    return [
        f"{demand.name}: {format_size(bounds.min)}" + (f" ({demand.why})" if demand.why else "")
        for bounds, demand in kept
    ]


def _shares(kept: Sequence[_Bounds], space: int, grain: int) -> dict[int, int]:
    """Weighted shares within the bounds.

    Whoever needs more than its share gets its minimum, then whoever may have less gets its maximum; each leaves the
    pool, which changes the share of the rest, so either pass runs until it finds nobody.
    """
    sizes: dict[int, int] = {}
    span, weights = space, sum(each.weight for each in kept)
    for settle in (_overcharged, _undercharged):
        settled = True
        while settled:
            settled = False
            for each in kept:
                if each.index in sizes:
                    continue
                size = settle(each, _share(span, each.weight, weights))
                if size is not None:
                    sizes[each.index] = size
                    span, weights, settled = span - size, weights - each.weight, True
    for each in kept:
        if each.index not in sizes:
            size = max(_share(span, each.weight, weights) // grain * grain, each.min)
            sizes[each.index] = size
            span, weights = span - size, weights - each.weight
    return sizes


def _share(span: int, weight: int, weights: int) -> int:
    return span * weight // weights if weight else 0


def _overcharged(each: _Bounds, share: int) -> int | None:
    return each.min if each.min > share else None


def _undercharged(each: _Bounds, share: int) -> int | None:
    return each.max if each.max is not None and each.max < share else None


def _give_leftover(kept: Sequence[_Bounds], sizes: dict[int, int], space: int, leftover: Leftover) -> None:
    left = space - sum(sizes.values())
    if leftover is Leftover.HEAVIEST:
        kept = sorted((each for each in kept if each.weight), key=lambda each: -each.weight)
    for each in kept:
        size = sizes[each.index]
        grown = size + left if each.max is None else min(each.max, size + left)
        left -= grown - size
        sizes[each.index] = grown
