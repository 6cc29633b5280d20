"""Us and a peer in turn, A B A B: medians, spreads and the ratio of pairs, as rows of RESULTS.md."""

import datetime
import re
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = "| figure | {ours} | peer | ratio of pairs (spread) | target | |\n|---|---|---|---|---|---|\n"

Figures = Mapping[str, float]  # by what they are figures of: "MiB/s", "ms CPU/MiB"


@frozen
class Row:
    """One figure of us beside the same of a peer, pair by pair. ``most`` and ``least`` are targets for the ratio."""

    what: str
    peer: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    most: float | None = None
    least: float | None = None

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios."""
        return statistics.median(self._ratios())

    @property
    def kept(self) -> bool:
        """Whether the target is met; True where there is none."""
        return (self.most is None or self.ratio <= self.most) and (self.least is None or self.ratio >= self.least)

    def __str__(self) -> str:
        ratios = self._ratios()
        target = f"at most {self.most:g}" if self.most is not None else ""
        target = f"at least {self.least:g}" if self.least is not None else target
        mark = ("met" if self.kept else "**missed**") if target else ""
        spread = f"{self.ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        return (
            f"| {self.what} | {_shown(self.ours)} | {_shown(self.theirs)}, {self.peer} | {spread} | {target} | {mark} |"
        )

    def _ratios(self) -> list[float]:
        return [ours / theirs if theirs else float("inf") for ours, theirs in zip(self.ours, self.theirs, strict=True)]


def interleave(ours: Callable[[], Figures], theirs: Callable[[], Figures], pairs: int) -> list[tuple[Figures, Figures]]:
    """Measure both so often, in turn; who begins changes from pair to pair."""
    found = []
    for number in range(pairs):
        if number % 2:
            second = theirs()
            found.append((ours(), second))
        else:
            first = ours()
            found.append((first, theirs()))
    return found


def row(what: str, figure: str, peer: str, found: Sequence[tuple[Figures, Figures]], **target: float) -> Row:
    """``figure`` of the pairs, as ``what (figure)``; ``target`` is ``most`` or ``least``."""
    ours, theirs = (tuple(pair[side][figure] for pair in found) for side in (0, 1))
    return Row(f"{what}, {figure}", peer, ours, theirs, **target)


def publish(
    title: str, command: str, rows: Sequence[Row], versions: Sequence[str], notes: str = "", ours: str = "imaged"
) -> bool:
    """Print the table and put it into RESULTS.md below ``## title``; whether every target is met.

    ``ours`` heads our column.
    """
    day = datetime.datetime.now(datetime.UTC).date()
    tried = "; ".join([str(day), *([", ".join(versions)] if versions else [])])
    text = f"## {title}\n\n`{command}`, {tried}.\n\n{_HEAD.format(ours=ours)}"
    text += "".join(f"{each}\n" for each in rows) + (f"\n{notes.strip()}\n" if notes else "")
    print(text)
    before = RESULTS.read_text()
    known = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    after = known.sub(lambda _: f"{text}\n", before) if known.search(before) else f"{before.rstrip()}\n\n{text}"
    RESULTS.write_text(after.rstrip() + "\n")
    return all(each.kept for each in rows)


def version(*packages: str) -> list[str]:
    """Of Debian packages, as ``name 1.2-3``. Those that are missing are installed."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages]
    found = subprocess.run(query, capture_output=True, text=True, check=False)
    if found.returncode:
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], check=True)
        found = subprocess.run(query, capture_output=True, text=True, check=True)
    return found.stdout.split("\n")[:-1]


def _shown(figures: Sequence[float]) -> str:
    middle = statistics.median(figures)
    return f"{middle:,.4g}" if middle < 1000 else f"{middle:,.0f}"
