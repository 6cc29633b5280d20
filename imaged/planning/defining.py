"""What a person says of a node, read and judged: addresses, UUIDs, consoles, how its own system is set up. Pure."""

import re
from ipaddress import IPv4Address
from uuid import UUID

from attrs import field, frozen

from imaged.model.errors import BadInput
from imaged.model.host import Host
from imaged.model.names import ImageRef
from imaged.model.network import Bond, Bridge, Interface, Vlan
from imaged.model.next_boot import AT_FIRST
from imaged.model.settings import Settings
from imaged.model.setup import Setup, variable
from imaged.planning.network_rules import link_faults, network_faults

FIRST = tuple(action.value for action in AT_FIRST)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}")  # names in tzdata
_LOCALE = re.compile(r"[A-Za-z]{1,8}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?")  # setlocale(3)
_KEYBOARD = re.compile(r"[a-z]{2,8}(:[a-z0-9_-]+)?")  # layout and variant of xkeyboard-config(7)
_WORDS = {
    "timezone": (_ZONE, "Europe/Berlin"), "locale": (_LOCALE, "en_GB.UTF-8"), "keyboard": (_KEYBOARD, "de or us:intl"),
}  # fmt: skip


def address(text: str, settings: Settings) -> IPv4Address | None:
    """One that a node may have; empty: None. Raises BadInput."""
    if not text:
        return None
    try:
        found = IPv4Address(text)
    except ValueError:
        raise BadInput(f"{text[:80]!r} is not an IPv4 address", where="address") from None
    refuse_address(found, settings)
    return found


def refuse_address(found: IPv4Address, settings: Settings, where: str = "address") -> None:
    """Raises BadInput for what is in no subnet of ours, and for what is there but no node's."""
    networks = [subnet.network for subnet in settings.dhcp.subnets]
    if networks and not any(found in network for network in networks):
        known = ", ".join(map(str, networks))
        raise BadInput(f"{found} is in none of our subnets", where=where, hint=f"The settings have {known}.")
    ends = {end for each in networks if each.num_addresses > 2 for end in (each[0], each[-1])}
    if found == settings.address or found in ends:
        hint = "It is the server's, the network's or the broadcast address."
        raise BadInput(f"{found} is no address of our subnets that a node may have", where=where, hint=hint)


def uuid(text: str) -> str:
    """Canonical; empty stays empty. Raises BadInput."""
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        raise BadInput(f"{text[:80]!r} is not a UUID", where="uuid") from None


def console(text: str) -> str:
    """A console of the kernel, ``none``, or empty: not said. Raises BadInput."""
    if text and not re.fullmatch(r"[A-Za-z0-9,-]+", text):
        raise BadInput(f"{text[:80]!r} is not a console", where="console", hint="Write it like ttyS0,115200.")
    return text


def first(text: str) -> str:
    """The boot action that new nodes of a group begin with, or empty: not said. Raises BadInput."""
    if text and text not in FIRST:
        raise BadInput(f"{text[:40]!r} is nothing to begin with", where="first", hint=f"There are {', '.join(FIRST)}.")
    return text


@frozen
class SetupChanges:
    """What becomes different of a node's or a group's setup; None: stays. Empty: is no longer said, so that it comes
    from groups or defaults. ``variables`` by name; a name with None is taken away."""

    image: ImageRef | None = None
    layout: str | None = None
    console: str | None = None
    variables: dict[str, str | None] = field(factory=dict)


def setup(said: Setup, changes: SetupChanges) -> Setup:
    """What is said then. Raises BadInput."""
    new = [variable(name, text) for name, text in changes.variables.items() if text is not None]
    kept = {name: text for name, text in said.variables.items() if name not in changes.variables}
    return Setup(
        said.image if changes.image is None else changes.image,
        said.layout if changes.layout is None else changes.layout,
        said.console if changes.console is None else console(changes.console),
        kept | dict(new),
        said.first,
    )


def host(said: Host) -> Host:
    """What was said of a node's own system. Raises BadInput."""
    for key, (shape, example) in _WORDS.items():
        text = getattr(said, key)
        if text is not None and not shape.fullmatch(text):
            raise BadInput(f"{text[:80]!r} is not what it should be", where=key, hint=f"Write it like {example}.")
    if said.network:
        network = said.network
        lists: dict[str, tuple[Interface | Bond | Vlan | Bridge, ...]]
        lists = {"interfaces": network.interfaces, "bonds": network.bonds, "vlans": network.vlans,
                 "bridges": network.bridges}  # fmt: skip
        links = [(f"{key}[{at}]", link) for key, found in lists.items() for at, link in enumerate(found)]
        faults = [fault for at, link in links for fault in link_faults(at, link)] + list(network_faults(network))
        if faults:
            raise BadInput("\n  ".join(faults), where="network")
    return said
