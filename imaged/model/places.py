"""Names that wait for machines, and the rules by which machines get them."""

from ipaddress import IPv4Address, IPv4Network

from attrs import field, frozen

from imaged.model.match import Match
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.node import BootAction
from imaged.model.size import SizeBounds


@frozen
class Places:
    """``names`` such as ``node[001-064]``, in their order, and what becomes of a machine that takes one.

    What is empty of ``image``, ``layout``, ``console`` and ``action`` the ``groups`` say, else the defaults.
    ``address`` is the first name's; those of the others count up. ``skip`` are names that stay free; ``relay``: only
    machines behind this DHCP relay take one.
    """

    names: str
    image: ImageRef = NO_IMAGE
    layout: str = ""
    address: IPv4Address | None = None
    console: str = ""
    action: BootAction | None = None
    groups: tuple[str, ...] = ()
    skip: str = ""
    relay: str = ""


@frozen
class Condition:
    """Of a machine; all that is said must hold. Texts are shell globs read without regard to case, ``|`` between those
    of which one must fit.

    ``mac`` is how its MAC begins. ``subnet`` has the machine's address or its relay's. ``disks`` of its disks fit
    ``disk``.
    """

    mac: str = ""
    uuid: str = ""
    vendor_class: str = ""
    arch: str = ""
    subnet: IPv4Network | None = None
    relay: IPv4Address | None = None
    vendor: str = ""
    product: str = ""
    serial: str = ""
    asset: str = ""
    memory: SizeBounds | None = None
    disk: Match | None = None
    disks: int = 1


@frozen
class Rule:
    """Machines that ``match`` become one of ``become``; with ``approve`` after a person has said yes.

    ``all_nics``: the node is known by all of the machine's network cards, as far as its inventory is known.
    """

    name: str
    match: Condition
    become: Places
    approve: bool = True
    all_nics: bool = False


@frozen
class Rules:
    """The file ``rules.yaml`` of the state directory. The first rule that matches counts."""

    rules: tuple[Rule, ...] = field(default=())
