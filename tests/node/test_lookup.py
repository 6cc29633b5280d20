"""Manifests as sorted files: every path is found, no other, and subtrees are passed over."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.store.manifest import Entry, Kind, format_manifest
from installer.node.errors import Failed
from installer.node.lookup import Lookup

NAMES = st.lists(
    st.lists(st.sampled_from(["a", "a.b", "a b", "\udcff", "ü", "\n"]), min_size=1, max_size=3).map(tuple), max_size=12
)


def written(at: Path, names: list[tuple[str, ...]]) -> tuple[Lookup, list[bytes]]:
    """All the names and what is above them, as directories."""
    every = {name[:length] for name in names for length in range(1, len(name) + 1)}
    raw = sorted(tuple(part.encode("utf-8", "surrogateescape") for part in name) for name in every)
    paths = [b".", *(b"/".join(parts) for parts in raw)]
    entries = [Entry(path.decode("utf-8", "surrogateescape"), Kind.DIRECTORY, 0o755, 0, 0, 0) for path in paths]
    at.write_text("".join(format_manifest(entries)), encoding="ascii")
    return Lookup(str(at)), paths


@settings(deadline=None)
@given(NAMES)
def test_every_path_is_found(tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, ...]]) -> None:
    lookup, paths = written(tmp_path_factory.mktemp("m") / "manifest", names)
    with lookup:
        for path in paths:
            entry = lookup.entry(path)
            assert entry is not None and entry.path == path
            for other in (path + b"x", path + b"/x", b"x" + path):
                assert other in paths or lookup.entry(other) is None
        start = lookup._from(b"")
        top = lookup.line(start)
        assert [each.path for each in lookup.subtree(top)] == paths[1:]
        assert [each.path for each in lookup.children(top)] == [path for path in paths[1:] if b"/" not in path]
        for each in lookup.subtree(top):
            below = [path for path in paths if path.startswith(each.path + b"/")]
            assert [line.path for line in lookup.subtree(each)] == below


def test_an_empty_manifest(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"")
    with pytest.raises(Failed, match="is empty"):
        Lookup(str(tmp_path / "m"))
