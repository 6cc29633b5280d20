"""Bytes below directories."""

from attrs import evolve

from imaged.store.breakdown import below
from imaged.store.manifest import Entry, Kind

FILES = {"usr/bin/a": 3, "usr/bin/b": 4, "usr/x": 1, "top": 9, "var/lib/d/e/f": 5}


def test_below():
    entry = Entry("x", Kind.FILE, 0o644, 0, 0, 0)
    assert below(evolve(entry, path=path, size=size) for path, size in FILES.items()) == {
        "/usr": 8, "/usr/bin": 7, "/var": 5, "/var/lib": 5,
    }  # fmt: skip
