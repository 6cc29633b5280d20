"""What lies over an image on one node, put together from the stores: rendered overrides, protected paths, scripts."""

from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from imaged.model.errors import BadInput
from imaged.model.image import Version
from imaged.model.node import Node
from imaged.model.override import TEMPLATE, Wanted
from imaged.model.update import Protected, Script
from imaged.planning import additions, protect, scripts, syncfiles
from imaged.planning.additions import Additions
from imaged.planning.install import Site
from imaged.planning.scripts import Chosen
from imaged.planning.standing import Over
from imaged.planning.update import Layers
from imaged.store import yamlfile
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.images import Images
from imaged.store.overrides import Overrides, Rendered
from imaged.store.templates import render_text
from imaged.store.tree import Tree

_SYNCED = "kept by syncfiles"
_OF_IMAGE = "/etc/imaged/protect"  # in the image's own tree


class SiteLayers:
    """The layers of every node of one server."""

    _log = Logger()

    def __init__(
        self, overrides: Overrides, groups: Groups, hosts: Hosts, images: Images, site_of: Callable[[Node], Site]
    ) -> None:
        self._overrides = overrides
        self._groups = groups
        self._hosts = hosts
        self._images = images
        self._site_of = site_of

    def generation(self, node: str, image: str) -> Over:
        """Equal as long as nothing of this node has changed; see ``Generations``."""
        groups = self._groups.of(node)
        return groups, self._hosts.said(node, groups), self._overrides.generations.of(node, image, groups)

    def layers(self, node: Node, version: Version) -> Layers:
        """What lies over ``version`` on ``node``. Raises ImagedError naming the file that is wrong."""
        wanted, tree = self.wanted(node, version), self._images.tree(version)
        rendered = self._render(wanted, tree)
        lists = (
            (f"{_OF_IMAGE} of {version.ref}", Tree(tree).text(_OF_IMAGE)),
            *self._overrides.protect_lists(wanted.layers),
        )
        synced = self._synced(wanted)
        own = (*protect.protected(lists), *(Protected(path, _SYNCED) for path in synced))
        return Layers(rendered.manifest, own, self.scripts("post-update", wanted), synced=synced)

    def _synced(self, wanted: Wanted) -> tuple[str, ...]:
        path = self._overrides.synced
        listed = syncfiles.read(yamlfile.load(path), syncfiles.LIST) if path.exists() else {}
        return syncfiles.own_paths(syncfiles.chosen(listed, wanted.layers))

    def render(self, node: Node, version: Version) -> Rendered:
        """The overrides for an install of ``version``."""
        return self._render(self.wanted(node, version), self._images.tree(version))

    def path(self, node: Node) -> Path | None:
        """The tree that was rendered last for ``node``."""
        return self._overrides.current(node.name)

    def wanted(self, node: Node, version: Version) -> Wanted:
        """Whose overrides, over what."""
        site = self._site_of(node)
        return Wanted(node, version, node.groups, site.server, site.domain)

    def additions(self, node: Node, version: Version) -> Additions:
        """What is added to an install of ``version``. Raises ImagedError naming the file that is wrong."""
        wanted = self.wanted(node, version)
        return Additions(
            self.scripts("pre-install", wanted),
            self.scripts("post-install", wanted),
            wanted.groups,
            additions.rules(self._overrides.exclude_lists(wanted.layers)),
        )

    def scripts(self, kind: str, wanted: Wanted) -> tuple[Script, ...]:
        """The node's scripts of a ``kind`` (``post-update``) in the order in which they run, templates rendered."""
        found = self._overrides.script_names(kind)
        choice = scripts.choose(found, wanted.version.image, wanted.groups, wanted.node.name)
        if choice.strange:
            raise BadInput(
                f"{', '.join(choice.strange)}: no such names are run",
                where=f"scripts/{kind}",
                hint="Name scripts NNclass.description, such as 10all.fix-locale or 20compute.restart.",
            )
        made = tuple(self._script(kind, name, wanted) for name in choice.run)
        twice = [each.name for each in made if f"{each.name}{TEMPLATE}" in choice.run and each.name in choice.run]
        if twice:
            raise BadInput(f"{twice[0]} is there as it is and as a template", where=f"scripts/{kind}")
        return made

    def chosen(self, kind: str, wanted: Wanted) -> tuple[Chosen, ...]:
        """Which scripts those are, and why; none is read."""
        found = self._overrides.script_names(kind)
        return scripts.chosen(found, wanted.version.image, wanted.groups, wanted.node.name)

    def _script(self, kind: str, name: str, wanted: Wanted) -> Script:
        text = self._overrides.script(kind, name)
        if not name.endswith(TEMPLATE):
            return Script(name, text)
        where = f"scripts/{kind}/{name} for {wanted.node.name}"
        rendered = render_text(text.encode(), wanted.values, where=where).decode()
        return Script(name.removesuffix(TEMPLATE), rendered)

    def _render(self, wanted: Wanted, tree: Path) -> Rendered:
        rendered = self._overrides.render(wanted, tree)
        for clash in rendered.clashes:
            self._log.warn("overrides of {node}: {clash}", node=wanted.node.name, clash=str(clash))
        return rendered
