"""What a person says of a node, read: addresses, UUIDs, consoles."""

from ipaddress import IPv4Address, ip_network
from uuid import UUID

from imaged.model.errors import BadInput
from imaged.model.settings import Settings


def address(text: str, settings: Settings) -> IPv4Address:
    """One of the site's that a node may have. Raises BadInput."""
    try:
        found = IPv4Address(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an IPv4 address", where="--address") from None
    subnets = settings.dhcp.subnets
    if subnets and not any(found in subnet.network for subnet in subnets):
        known = ", ".join(str(subnet.network) for subnet in subnets)
        raise BadInput(f"{found} is in none of our subnets", where="--address", hint=f"The settings have {known}.")
    if found == settings.address or any(_is_an_end(found, str(subnet.network)) for subnet in subnets):
        raise BadInput(f"{found} is the server's, the network's or the broadcast address", where="--address")
    return found


def _is_an_end(address: IPv4Address, network: str) -> bool:
    ends = ip_network(network)
    return ends.num_addresses > 2 and address in (ends.network_address, ends.broadcast_address)


def uuid(text: str) -> str:
    """Canonical; empty stays empty. Raises BadInput."""
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        raise BadInput(f"{text!r} is not a UUID", where="--uuid") from None


def console(text: str) -> str:
    """A console of the kernel, or empty. Raises BadInput."""
    if text and not all(ch.isalnum() or ch in ",-" for ch in text):
        raise BadInput(f"{text!r} is not a console", where="--console", hint="Write it like ttyS0,115200.")
    return text
