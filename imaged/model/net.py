"""Link-layer and network addresses."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_interface

from attrs import frozen

from imaged.model.errors import BadInput

AnyAddress = IPv4Address | IPv6Address
AnyNetwork = IPv4Network | IPv6Network
AnyInterface = IPv4Interface | IPv6Interface
_NODE = "node"
_SEPARATED = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}")
_DOTTED = re.compile(r"[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}")
_BARE = re.compile(r"[0-9a-fA-F]{12}")


@lru_cache(maxsize=16_384)
def spelled(address: IPv4Address) -> str:
    """``10.0.0.7``. To make it takes a microsecond, and DHCP needs one or two for each packet."""
    return str(address)


@frozen(order=True)
class Mac:
    """An EUI-48 address, kept as lower-case ``aa:bb:cc:dd:ee:ff``."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Mac":
        """Read the usual spellings (``aa:bb:..``, ``AA-BB-..``, ``aabb.ccdd.eeff``, bare). Raises BadInput."""
        stripped = text.strip()
        if not any(form.fullmatch(stripped) for form in (_SEPARATED, _DOTTED, _BARE)):
            raise BadInput(f"{text!r} is not a MAC address", hint="Write it like 52:54:00:12:34:56.")
        mac = cls.from_bytes(bytes.fromhex(re.sub(r"[:.-]", "", stripped)))
        if mac.packed[0] & 1:
            raise BadInput(f"{text!r} is a group address, not a machine's", hint="Read it from the NIC's label.")
        return mac

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Mac":
        """``packed`` is the six bytes of the address."""
        if len(packed) != 6:
            raise BadInput(f"a MAC address has 6 bytes, not {len(packed)}")
        return cls(packed.hex(":"))

    @property
    def packed(self) -> bytes:
        """The six bytes of the address."""
        return bytes.fromhex(self.text.replace(":", ""))

    def __str__(self) -> str:
        return self.text


@frozen
class AddressRange:
    """First and last address of a pool, both included."""

    first: IPv4Address
    last: IPv4Address

    @classmethod
    def parse(cls, text: str) -> "AddressRange":
        """Read ``10.0.0.100-10.0.0.200``."""
        try:
            first, last = (IPv4Address(end.strip()) for end in text.split("-"))
        except ValueError:
            raise BadInput(f"{text!r} is not a range", hint="Write it like 10.0.0.100-10.0.0.200.") from None
        if first > last:
            raise BadInput(f"{text!r} is an empty range", hint="Write the lower address first.")
        return cls(first, last)

    def __contains__(self, address: IPv4Address) -> bool:
        return int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@frozen
class Address:
    """An address with the length of its prefix: ``10.0.0.7/24``, ``2001:db8::7/64``.

    ``node/24`` (``ip`` is None) stands for the node's own IPv4 address, so that a group may say it for all its nodes.
    """

    ip: AnyAddress | None
    prefix: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises BadInput, also for an address without a prefix."""
        host, slash, prefix = text.partition("/")
        hint = "Write it like 10.0.0.7/24, 2001:db8::7/64, or node/24 for the node's own IPv4 address."
        if not slash or not (prefix.isascii() and prefix.isdigit()):
            raise BadInput(f"{text[:80]!r} has no prefix length", hint=hint)
        try:
            found = ip_interface(f"0.0.0.0/{prefix}" if host == _NODE else text)
        except ValueError:
            raise BadInput(f"{text[:80]!r} is not an address", hint=hint) from None
        return cls(None if host == _NODE else found.ip, found.network.prefixlen)

    def on(self, own: IPv4Address | None) -> AnyInterface:
        """This address on the node whose own is ``own``; that may be None unless it is the one that is meant."""
        return ip_interface(f"{self.ip or own}/{self.prefix}")

    def __str__(self) -> str:
        return f"{self.ip or _NODE}/{self.prefix}"
