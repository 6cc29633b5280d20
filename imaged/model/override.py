"""Overrides: layers of paths laid over an image, and which of them each path comes from. Pure."""

from collections.abc import Iterable, Sequence

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.image import Version
from imaged.model.node import Node

OURS = "imaged"  # the lowest layer: what the server itself gives every node
TEMPLATE = ".j2"


@frozen
class Wanted:
    """Whose overrides, over which version. ``groups`` in their order, the winner last; ``server`` the base URL."""

    node: Node
    version: Version
    groups: tuple[str, ...] = ()
    server: str = ""
    domain: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """See ``layer_names``."""
        return layer_names(self.version.image, self.groups, self.node.name)

    @property
    def values(self) -> dict[str, str | int | list[str] | dict[str, str]]:
        """What templates may use; docs/overrides.md lists them."""
        return {
            "node": self.node.name, "image": self.version.image, "version": self.version.number,
            "groups": list(self.groups), "address": str(self.node.address or ""), "domain": self.domain,
            "server": self.server, "macs": [str(mac) for mac in self.node.macs], "console": self.node.console,
            "layers": list(self.layers), "var": self.node.variables,
        }  # fmt: skip


@frozen
class Listed:
    """One path of a layer. ``path`` is where it goes (no leading slash), ``source`` the path in the layer's tree.

    They differ for templates, which lose their suffix, and where the image has a link on the way.
    """

    path: str
    directory: bool = False
    source: str = ""


@frozen
class Layer:
    """A layer's name (``all``, ``image/compute``, ``group/gpu``, ``node/n1``) and its paths in any order."""

    name: str
    paths: tuple[Listed, ...]


@frozen
class Laid:
    """A path as it will be, and the layer that it comes from. ``over`` are the layers that have it and lost."""

    path: str
    layer: str
    directory: bool
    source: str
    over: tuple[str, ...] = ()


@frozen
class Clash:
    """A file where an earlier layer has a directory, or the other way round: ``layer`` won over ``lost``."""

    path: str
    layer: str
    lost: str
    directory: bool

    def __str__(self) -> str:
        now, was = ("directory", "file") if self.directory else ("file", "directory")
        return f"/{self.path}: a {now} of {self.layer} takes the place of a {was} of {self.lost}"


@frozen
class Merged:
    """The paths of all layers together, parents before what they hold, and what clashed."""

    paths: tuple[Laid, ...] = ()
    clashes: tuple[Clash, ...] = ()


def layer_names(image: str, groups: Sequence[str], node: str = "") -> tuple[str, ...]:
    """The layers of a node in the order in which they are applied, the winner last; ``groups`` in their order.

    Without ``node`` those that it shares with others.
    """
    shared = ("all", f"image/{image}", *(f"group/{group}" for group in groups))
    return (*shared, f"node/{node}") if node else shared


def merge(layers: Iterable[Layer]) -> Merged:
    """Lay ``layers`` over each other, the last one wins; a path is in the result once.

    Directories are merged and take their attributes from the last layer that has them. Anything else replaces what
    was there, a directory with all that was in it. Raises BadInput when one layer has two files for one path.
    """
    laid: dict[str, Laid] = {}
    clashes: list[Clash] = []
    for layer in layers:
        for each in sorted(layer.paths, key=lambda listed: _order(listed.path)):
            _lay(layer.name, each, laid, clashes)
    return Merged(tuple(sorted(laid.values(), key=lambda one: _order(one.path))), tuple(clashes))


def _lay(layer: str, each: Listed, laid: dict[str, Laid], clashes: list[Clash]) -> None:
    for parent in _parents(each.path):  # a file of an earlier layer on the way, if this layer does not list the way
        _make_room(layer, Listed(parent, directory=True), laid, clashes)
    below = laid.get(each.path)
    if below and below.layer == layer and not (below.directory and each.directory):
        raise BadInput(f"/{each.path} comes from both {below.source!r} and {each.source!r}", where=layer)
    _make_room(layer, each, laid, clashes)
    below = laid.get(each.path)
    over = (*below.over, below.layer) if below and below.layer != layer else below.over if below else ()
    laid[each.path] = Laid(each.path, layer, each.directory, each.source or each.path, over)


def _make_room(layer: str, each: Listed, laid: dict[str, Laid], clashes: list[Clash]) -> None:
    """Take away what cannot stay when ``each`` is there."""
    below = laid.get(each.path)
    if below is None or below.directory is each.directory:
        return
    if below.layer == layer:
        raise BadInput(f"/{each.path} is both a directory and a file ({below.source!r})", where=layer)
    clashes.append(Clash(each.path, layer, below.layer, each.directory))
    del laid[each.path]
    if below.directory:
        for path in [path for path in laid if path.startswith(f"{each.path}/")]:
            if laid[path].layer == layer:
                raise BadInput(f"/{each.path} is both a directory and a file ({each.source!r})", where=layer)
            del laid[path]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _order(path: str) -> bytes:
    """The manifest's: depth first, names in byte order."""
    return path.encode("utf-8", "surrogateescape").replace(b"/", b"\0")
