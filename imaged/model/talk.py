"""What an installer and the server say to each other beside reports: claims, tokens, hardware, the plan, refusals."""

from attrs import frozen

from imaged.model.hardware import Inventory
from imaged.model.machine import Next
from imaged.model.net import Mac
from imaged.model.plan import InstallPlan
from imaged.model.wishes import Wishes


@frozen
class Claim:
    """The agent's first words: the one-time token of its boot script, and the secret it chose for this install.

    The agent makes the secret so that a repeated claim (the answer was lost) is the same claim, not a second one.
    ``host_key`` is the ramdisk's public one for ssh, without a comment; empty: it has none.
    """

    token: str
    secret: str
    host_key: str = ""


@frozen
class Claimed:
    """The server's answer to a claim. ``rsync_port`` is on the same address as the API."""

    node: str
    rsync_port: int
    authorized_keys: tuple[str, ...] = ()
    wishes: Wishes = Wishes()


@frozen
class MediumBoot:
    """A machine that was started from a boot medium: the medium's token, and all by which its node may be known."""

    token: str
    macs: tuple[Mac, ...]
    uuid: str = ""


@frozen
class BootToken:
    """A one-time token for an install of ``node``, as a boot script carries it."""

    node: str
    token: str


@frozen
class Served:
    """A file by HTTP: ``path`` from the server's root, ``sha256`` in hex."""

    path: str
    sha256: str


@frozen
class Reinstall:
    """What starts the installer on a node that runs, without a network boot. ``arguments`` are the kernel's."""

    kernel: Served
    ramdisk: Served
    arguments: str


@frozen
class Rescue:
    """Asks for the keys that open a machine in rescue; ``token`` of a boot script or of a medium. ``host_key`` as of a
    claim."""

    token: str
    host_key: str = ""


@frozen
class Rescued:
    """The answer. ``node`` is empty where the token is a medium's for any node."""

    node: str
    authorized_keys: tuple[str, ...] = ()


@frozen
class Told:
    """A machine's hardware, with the token of its boot script. None: it waits, and asks what it may do now."""

    token: str
    inventory: Inventory | None = None


@frozen
class ToldAnswer:
    """``node`` is empty while the machine has no name. ``token`` is for asking again."""

    node: str
    then: Next
    token: str
    authorized_keys: tuple[str, ...] = ()


@frozen
class PlanRequest:
    """Asks for the plan that fits this hardware."""

    inventory: Inventory


@frozen
class PlanAnswer:
    """The plan, and its hash for the log."""

    plan: InstallPlan
    hash: str


@frozen
class Problem:
    """Every error answer of the API."""

    what: str
    where: str = ""
    hint: str = ""
