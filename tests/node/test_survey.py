"""A tree against its image, the overrides over it and the fixups in it: whose each difference is."""

import os
from pathlib import Path
from typing import Any

import pytest

from imaged.store.manifest import format_manifest
from imaged.store.seal import read_tree
from installer.node.known import Known
from installer.node.stamps import Stamps
from installer.node.survey import drifted_fixups, rules_of, survey

PLAN: dict[str, Any] = {
    "protect": [{"pattern": "/srv/", "reason": "people's"}, {"pattern": "/etc/keep*", "reason": "kept"}],
    "merge": ["/etc/passwd"],
    "fixups": [
        {"step": {"step": "WriteFile", "path": "/etc/motd", "content": "grüße\n", "mode": "0600"}},
        {"step": {"step": "MakeLink", "path": "/etc/link", "target": "motd"}},
        {"step": {"step": "RemovePath", "path": "/etc/old-*"}},
        {"step": {"step": "RunInTarget", "argv": ["true"]}},
    ],
}


class Site:
    """An image of two files, an override over one of them, and a node that has all of it."""

    def __init__(self, base: Path) -> None:
        self.root, laid, image = base / "node", base / "laid", base / "image"
        for tree in (image, laid, self.root):
            (tree / "etc/d").mkdir(parents=True)
        for tree in (image, self.root):
            (tree / "etc/a").write_text("a")
            os.utime(tree / "etc/a", (1e9, 1e9))
        (image / "etc/over").write_text("of the image")
        for tree in (laid, self.root):
            (tree / "etc/over").write_text("laid")
            os.utime(tree / "etc/over", (1e9, 1e9))
        (laid / "etc/d").chmod(0o700)
        (self.root / "etc/motd").write_text("grüße\n")
        (self.root / "etc/motd").chmod(0o600)
        (self.root / "etc/link").symlink_to("motd")
        self.manifest = base / "manifest"
        self.manifest.write_text("".join(format_manifest(read_tree(image).entries)))
        self.plan = {**PLAN, "overrides": "".join(format_manifest(read_tree(laid).entries))}

    def found(self, directory: bytes = b"") -> list[tuple[bytes, str, str]]:
        lines = len(self.manifest.read_bytes().splitlines())
        known, rules = Known(str(self.manifest), "", Stamps.blank(lines), False), rules_of(self.plan, str(self.root))
        rows = [*survey(str(self.root), known, rules, directory=directory), *drifted_fixups(str(self.root), self.plan)]
        return [(each.path, each.owner, ",".join(sorted(each.what))) for each in rows]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_nothing_differs(site: Site) -> None:
    assert site.found() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: (root / "etc/a").write_text("other"), (b"etc/a", "image", "mtime,size")),
        (lambda root: (root / "etc/a").unlink(), (b"etc/a", "image", "missing")),
        (lambda root: (root / "etc/over").write_text("of the image"), (b"etc/over", "override", "mtime,size")),
        (lambda root: (root / "etc/over").unlink(), (b"etc/over", "override", "missing")),
        (lambda root: (root / "etc/motd").chmod(0o644), (b"etc/motd", "fixup", "mode")),
        (lambda root: (root / "etc/motd").write_text("x"), (b"etc/motd", "fixup", "content")),
        (lambda root: (root / "etc/motd").unlink(), (b"etc/motd", "fixup", "missing")),
        (lambda root: (root / "etc/link").unlink(), (b"etc/link", "fixup", "missing")),
        (lambda root: (root / "etc/old-x").write_text(""), (b"etc/old-x", "fixup", "extra")),
        (lambda root: (root / "etc/new").write_text(""), (b"etc/new", "local", "extra")),
        (lambda root: (root / "etc/d").chmod(0o711), (b"etc/d", "image", "mode")),  # not the override's 0700
        (lambda root: (root / "etc/keep-me").write_text(""), None),
        (lambda root: (root / "srv").mkdir() or (root / "srv/x").write_text(""), (b"srv", "local", "extra")),
        (lambda root: (root / ".imaged").mkdir(), None),
    ],
)  # fmt: skip
def test_whose_a_difference_is(site: Site, change: Any, expected: tuple[bytes, str, str] | None) -> None:
    change(site.root)
    if expected == (b"srv", "local", "extra"):
        assert [each for each in site.found() if each[0] != b"srv"] == [], "what is in it is people's"
    else:
        assert site.found() == ([expected] if expected else [])


def test_only_a_directory(site: Site) -> None:
    (site.root / "etc/a").unlink()
    (site.root / "etc/over").unlink()
    assert site.found(b"etc/d") == []
    assert [path for path, _, _ in site.found(b"etc")] == [b"etc/a", b"etc/over"]
