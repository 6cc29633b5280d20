"""How a node's own system shall be set up, beside image and layout: said for a node or for a group of nodes."""

from enum import Enum

from attrs import asdict, evolve, frozen

from imaged.model.network import Network


class Identity(Enum):
    """What becomes of machine-id, ssh host keys and the like when a node is imaged again.

    ``keep``: they stay. ``new``: the node becomes another. ``golden``: it has what the image has.
    """

    KEEP = "keep"
    NEW = "new"
    GOLDEN = "golden"


class CloudInit(Enum):
    """``off``: it does not run. ``seed``: it runs once, with what we know of the node. ``image``: as it was."""

    OFF = "off"
    SEED = "seed"
    IMAGE = "image"


@frozen
class Host:
    """None everywhere: nothing was said, so what is usual.

    ``timezone`` as in tzdata (``Europe/Berlin``), ``locale`` as LANG (``en_GB.UTF-8``), ``keyboard`` an XKB layout with
    an optional variant (``de``, ``us:intl``).
    """

    network: Network | None = None
    identity: Identity | None = None
    cloud_init: CloudInit | None = None
    timezone: str | None = None
    locale: str | None = None
    keyboard: str | None = None

    def over(self, other: "Host") -> "Host":
        """What is said here, else what ``other`` says: a network as a whole, never a mix of two."""
        said = asdict(self, recurse=False)
        return evolve(other, **{key: value for key, value in said.items() if value is not None})
