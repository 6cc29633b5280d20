"""How nodes do, as a table that fits the screen and as lines: who needs a person first, the quiet ones counted."""

from collections import Counter
from collections.abc import Callable, Sequence

from attrs import frozen
from rich.cells import cell_len
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from imaged.model.size import format_size
from imaged.planning.course import Course, Standing, spoken
from imaged.store.shown import shown

_STYLES = {
    Standing.FAILED: "bold red", Standing.STALLED: "bold yellow", Standing.WAITING: "bold magenta",
    Standing.DEFINED: "dim", Standing.READY: "green",
}  # fmt: skip
_QUIET = (Standing.DEFINED, Standing.READY)
_RANK = {standing: rank for rank, standing in enumerate(Standing)}
_BAR = 10  # signs of a bar of progress


def ranked(courses: Sequence[Course], *, everything: bool) -> list[Course]:
    """Those that need a person first. Without ``everything`` none that is ready or was never begun, and silent."""
    kept = (each for each in courses if everything or each.standing not in _QUIET or each.message)
    return sorted(kept, key=lambda each: (_RANK[each.standing], each.node))


def summary(courses: Sequence[Course]) -> Text:
    """``2000 nodes: 3 failed, 64 installing, 1933 ready``."""
    counts = Counter(each.standing for each in courses)
    text = Text(f"{len(courses)} node{'' if len(courses) == 1 else 's'}{': ' if courses else ''}")
    parts = [Text(f"{counts[each]} {each.value}", style=_STYLES.get(each, "")) for each in Standing if counts[each]]
    return text + Text(", ").join(parts)


def table(courses: Sequence[Course], screen: ConsoleDimensions, *, everything: bool) -> RenderableType:
    """The summary and a line for each, cut to what a screen holds; what is cut is in `imaged lsnode` and in the log."""
    chosen, head = ranked(courses, everything=everything), summary(courses)
    head.no_wrap, head.overflow = True, "ellipsis"
    fit = len(chosen) if len(chosen) <= screen.height - 3 else max(0, screen.height - 4)
    columns = [each for each in _COLUMNS if each.needs <= screen.width]
    grid = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for each in columns:
        widest = max((cell_len(each.cell(row)) for row in chosen[:fit]), default=0)
        grid.add_column(each.title, justify="right" if each.right else "left", no_wrap=True, min_width=widest)
    grid.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in chosen[:fit]:
        cells = (*(each.cell(row) for each in columns), shown(row.message))
        grid.add_row(*map(Text, cells), style=_STYLES.get(row.standing, ""))
    more = [Text(f"... and {len(chosen) - fit} more", style="dim")] if len(chosen) > fit else []
    return Group(head, *([grid] if fit else []), *more)


def lines(courses: Sequence[Course], *, everything: bool) -> list[str]:
    """The same whole, however wide and long: rich's tables would take minutes for ten thousand nodes."""
    chosen = ranked(courses, everything=everything)
    rows = [[*(each.cell(row) for each in _COLUMNS), shown(row.message)] for row in chosen]
    titles = [*(each.title for each in _COLUMNS), ""]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    right = [*(each.right for each in _COLUMNS), False]
    return [
        summary(courses).plain,
        *(
            "  ".join(
                cell.rjust(width) if aligned else cell.ljust(width)
                for cell, width, aligned in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in ([titles] if rows else []) + rows
        ),
    ]


def line(course: Course) -> str:
    """``n1 installing transfer 26 %: c@3``, for a log."""
    percent = f"{course.percent:.0f} %" if course.percent is not None else ""
    words = " ".join(filter(None, (course.node, course.standing.value, course.phase, percent)))
    return f"{words}: {shown(course.message)}" if course.message else words


def gist(course: Course) -> tuple[str, ...]:
    """What makes another line worth printing: neither a percentage nor the seconds of a silence."""
    message = "" if course.standing is Standing.STALLED else course.message
    return course.standing.value, course.phase, message


def _bar(course: Course) -> str:
    if course.percent is None:
        return ""
    full = int(course.percent * _BAR / 100)
    return "━" * full + "╌" * (_BAR - full)


@frozen
class _Column:
    """``needs``: columns that a screen must have for it to be shown; the message goes before a bar."""

    title: str
    cell: Callable[[Course], str]
    needs: int = 0
    right: bool = False


_COLUMNS = (
    _Column("node", lambda each: each.node),
    _Column("state", lambda each: each.standing.value),
    _Column("phase", lambda each: each.phase),
    _Column("", _bar, 110),
    _Column("%", lambda each: "" if each.percent is None else f"{each.percent:.0f}", 0, True),
    _Column("speed", lambda each: "" if each.speed is None else f"{format_size(int(each.speed))}/s", 90, True),
    _Column("left", lambda each: "" if each.left is None else spoken(each.left), 80, True),
    _Column("seen", lambda each: "never" if each.seen is None else spoken(each.seen), 70, True),
)
