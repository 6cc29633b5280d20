"""The table of installs in docs/matrix.md: what ran last of each, and how it ended. Kept as each one ends."""

import re
from pathlib import Path

from attrs import frozen

_HEAD = """# What was installed in virtual machines

Written by `make test-matrix`: whole installs in QEMU, emulated (no KVM), each started from its own disk afterwards and
looked at by ssh. Names are layout, firmware, disks and release of Debian; layouts are in tests/vm/layouts. Seconds are
of the whole test, on two cores shared with another machine.

| Install | Result | Seconds | Day |
|---|---|---|---|
"""
_ROW = re.compile(r"\| (\S+) \| (\w+) \| (\d+) \| ([\d-]+) \|")


@frozen
class Row:
    """One install: the test's name, ``passed`` or ``failed``, and the day in ISO 8601."""

    name: str
    result: str
    seconds: int
    day: str

    def __str__(self) -> str:
        return f"| {self.name} | {self.result} | {self.seconds} | {self.day} |"


def note(file: Path, row: Row) -> None:
    """Put ``row`` into the table in ``file``, in place of an older one of the same name."""
    rows = {each.name: each for each in read(file.read_text() if file.exists() else "")} | {row.name: row}
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(_HEAD + "".join(f"{each}\n" for each in sorted(rows.values(), key=lambda each: each.name)))
    fresh.replace(file)


def read(text: str) -> list[Row]:
    """The rows of a table."""
    return [Row(name, result, int(seconds), day) for name, result, seconds, day in _ROW.findall(text)]
