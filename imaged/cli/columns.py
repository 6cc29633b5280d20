"""Tables of thousands of rows: rich takes seconds for them, and half a second is what a list may take in all."""

import sys
from collections.abc import Sequence

import click


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows below their titles, each column as wide as its widest cell. A name cut short helps nobody, so a narrow
    terminal breaks the lines instead."""
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    line = " " + "  ".join(f"{{:{width}}}" for width in widths[:-1]) + "  {}"
    head = line.format(*titles)
    body = "\n".join(line.format(*row) for row in rows)
    return f"{click.style(head, bold=True) if sys.stdout.isatty() else head}\n{body}"
