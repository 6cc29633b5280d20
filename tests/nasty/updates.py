"""Updates of a node: its tree, the image that it follows, and its agent."""

from pathlib import Path
from typing import Any

from imaged.store.manifest import format_manifest
from imaged.store.seal import read_tree
from installer.node import site as node_site
from installer.node import update as node_update
from installer.node.fetch import Source
from installer.node.known import Known
from installer.node.stamps import Stamps


class UpdatedNode:
    """A tree that is to follow ``image``, both below ``base``, as a node's agent sees it."""

    def __init__(self, base: Path) -> None:
        self.image, self.root, self.state = base / "image", base / "node", base / "node/var/lib/imaged"
        self.image.mkdir()
        self.state.mkdir(parents=True)
        self.log: list[str] = []

    def update(self, *, kernel: str = "", confirmed: bool = False, full: bool = False, **plan: Any) -> Any:
        manifest = self.root.parent / "manifest"
        manifest.write_text("".join(format_manifest(read_tree(self.image).entries)))
        site = node_site.Site(str(self.root), str(self.state), kernel, self.log.append, lambda *_: None, lambda _: None)
        stamps = Stamps.blank(len(manifest.read_bytes().splitlines()))
        whole = {"serial": "s", "image": "c@1", "protect": [], "fixups": [], **plan}
        source = Source({"image": f"{self.image}/", "overrides": f"{self.image.parent}/overrides/"}, {})
        known = Known(str(manifest), "", stamps, False)
        return node_update.update(site, whole, known, source, node_update.Options(confirmed=confirmed, full=full))
