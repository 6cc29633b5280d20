"""The overview: who needs a person first, then every group with its nodes, folded where there are many. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from attrs import asdict, evolve, frozen

from imaged.model.life import Life
from imaged.planning.course import URGENT, Course, Standing
from imaged.web import words
from imaged.web.sheet import Block, Row

FEW: Final = 200  # nodes of a whole site that are all shown without a question
MOST: Final = 2000  # lines on one page
_FIRST: Final = 50  # of those that need a person
_RANK: Final = {standing: rank for rank, standing in enumerate(Standing)}
_ALL, _NONE = "*", "-"


@frozen
class Asked:
    """What of the overview somebody wants to see. ``skip`` so many lines.

    ``open`` names the groups that are unfolded: ``rack1,rack2``, ``!rack1`` all but that one, ``*`` all, ``-`` none;
    ``.`` are the nodes in no group. Empty: all, if that is not much.
    """

    nodes: str = ""
    state: str = ""
    open: str = ""
    skip: int = 0

    @property
    def filtered(self) -> bool:
        """Whether some nodes are left out."""
        return bool(self.nodes or self.state)

    @property
    def href(self) -> str:
        """The address of the page that shows it."""
        said = {key: value for key, value in asdict(self).items() if value}
        return f"/?{urlencode(said)}" if said else "/"


@frozen
class Line:
    """A node. ``seen``: seconds since the epoch; ``has`` is what is on its disks, ``to`` what is on its way there."""

    name: str
    state: str
    phase: str
    percent: int | None
    speed: str
    left: str
    seen: int | None
    has: str
    to: str
    message: str


@frozen
class Head:
    """A group. ``group`` is empty for nodes in none. ``percent`` is the mean of those under way."""

    group: str
    total: int
    counts: tuple[tuple[str, int], ...]
    percent: int | None
    open: bool
    toggle: str
    more: int = 0
    rest: str = ""


@frozen
class Summary:
    """All nodes that are meant; each state with its count and where those are shown. ``now``: the state asked for."""

    total: int
    counts: tuple[tuple[str, int, str], ...]
    now: str
    everything: str


@frozen
class Urgent:
    """How many need a person, and how many of them have no line here."""

    total: int
    more: int
    rest: str


@frozen
class Overview:
    """The page. ``fold`` and ``unfold`` are where all groups are one or the other."""

    asked: Asked
    summary: Block
    urgent: Block
    groups: tuple[Block, ...]
    fold: str
    unfold: str
    back: str
    nothing: bool

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.summary, self.urgent, *self.groups)


def overview(
    lives: Mapping[str, Life],
    courses: Mapping[str, Course],
    groups: Mapping[str, Sequence[str]],
    asked: Asked,
    wanted: Collection[str] | None = None,
    foreign: Sequence[Course] = (),
) -> Overview:
    """``groups`` in the order in which they are applied: a node is shown in the winner. ``wanted``: these alone.

    ``foreign`` are machines that SystemImager installs.
    """
    meant = [each for name, each in courses.items() if wanted is None or name in wanted]
    shown = [each for each in meant if asked.state in ("", each.standing.value)]
    homes = {name: group for group, names in groups.items() for name in names}
    sections: defaultdict[str, list[Course]] = defaultdict(list)
    for each in shown:
        sections[homes.get(each.node, "")].append(each)
    if not asked.filtered:
        for group in groups:
            sections.setdefault(group, [])  # one without nodes is one to know of
    order = sorted(sections, key=lambda group: (group == "", words.natural(group)))
    opened = _opened(asked, order, len(shown))
    return Overview(
        asked,
        _summary(meant, asked),
        _urgent(lives, shown),
        (
            *_sections(lives, {group: sections[group] for group in order}, asked, opened),
            *_foreign(each for each in foreign if wanted is None and asked.state in ("", each.standing.value)),
        ),
        evolve(asked, open=_NONE, skip=0).href,
        evolve(asked, open=_ALL, skip=0).href,
        evolve(asked, skip=max(0, asked.skip - MOST)).href if asked.skip else "",
        not courses and not foreign,
    )


def line(life: Life, course: Course) -> Line:
    """As all tables have it."""
    to = life.updating or (life.installing if course.phase else "") or ("" if life.installed else life.image)
    return _line(course, life.last_seen, life.installed, to)


def _line(course: Course, seen: float | None, has: str, to: str) -> Line:
    return Line(
        course.node,
        course.standing.value,
        course.phase,
        None if course.percent is None else round(course.percent),
        words.speed(course.speed),
        words.left(course.left),
        None if seen is None else int(seen),
        has,
        to,
        "" if course.message in (to, f"to {to}") else course.message,
    )


def _opened(asked: Asked, order: Sequence[str], total: int) -> Collection[str]:
    if asked.open == _ALL or (not asked.open and (total <= FEW or asked.filtered or len(order) == 1)):
        return frozenset(order)
    named = {"" if each == "." else each for each in asked.open.removeprefix("!").split(",")}
    return frozenset(order).difference(named) if asked.open.startswith("!") else named.intersection(order)


def _spelled(opened: Collection[str], order: Collection[str]) -> str:
    closed = set(order).difference(opened)
    if not closed or not opened:
        return _NONE if closed else _ALL
    few, sign = (opened, "") if len(opened) <= len(closed) else (closed, "!")
    return sign + ",".join(sorted(each or "." for each in few))


def _summary(meant: Sequence[Course], asked: Asked) -> Block:
    counts = Counter(each.standing for each in meant)
    parts = tuple(
        (each.value, counts[each], evolve(asked, state=each.value, skip=0).href)
        for each in Standing
        if counts[each] or each.value == asked.state
    )
    return Block(
        "summary", "overview.summary",
        Summary(len(meant), parts, asked.state, evolve(asked, state="", skip=0).href),
    )  # fmt: skip


def _urgent(lives: Mapping[str, Life], shown: Iterable[Course]) -> Block:
    found = [each for each in shown if each.standing in URGENT]
    found.sort(key=lambda each: (_RANK[each.standing], words.natural(each.node)))
    first = found[:_FIRST]
    rest = Asked(state=found[_FIRST].standing.value).href if len(found) > _FIRST else ""
    head = Urgent(len(found), len(found) - len(first), rest)
    return Block("urgent", "overview.urgent", head, _rows(lives, first, "u"))


def _sections(
    lives: Mapping[str, Life], sections: Mapping[str, list[Course]], asked: Asked, opened: Collection[str]
) -> Iterable[Block]:
    before = 0
    for group, courses in sections.items():
        is_open = group in opened
        lines: list[Course] = []
        more, rest = 0, ""
        if is_open:
            begin = max(0, asked.skip - before)
            end = max(0, asked.skip + MOST - before)
            if begin < len(courses) and end:
                lines = sorted(courses, key=lambda each: words.natural(each.node))[begin:end]
            more = max(0, len(courses) - end)
            before += len(courses)
            rest = evolve(asked, skip=asked.skip + MOST).href if more else ""
        toggle = evolve(asked, open=_spelled(set(opened) ^ {group}, sections), skip=0).href
        head = Head(group, len(courses), _counts(courses), _mean(courses), is_open, toggle, more, rest)
        yield Block(f"g-{group}", "overview.group", head, _rows(lives, lines, "n"))


def _foreign(courses: Iterable[Course]) -> Iterable[Block]:
    found = sorted(courses, key=lambda each: words.natural(each.node))[:MOST]
    if found:
        head = Head("", len(found), _counts(found), _mean(found), True, "")
        rows = ((f"x-{at}", _line(each, None, "", "")) for at, each in enumerate(found))
        lines = tuple(Row(key, "overview.foreign_line", each) for key, each in rows)
        yield Block("foreign", "overview.foreign", head, lines)


def _rows(lives: Mapping[str, Life], courses: Iterable[Course], prefix: str) -> tuple[Row, ...]:
    return tuple(Row(f"{prefix}-{each.node}", "overview.line", line(lives[each.node], each)) for each in courses)


def _counts(courses: Iterable[Course]) -> tuple[tuple[str, int], ...]:
    counts = Counter(each.standing for each in courses)
    return tuple((each.value, counts[each]) for each in Standing if counts[each])


def _mean(courses: Iterable[Course]) -> int | None:
    found = [each.percent for each in courses if each.percent is not None and each.standing is not Standing.FAILED]
    return round(sum(found) / len(found)) if found else None
