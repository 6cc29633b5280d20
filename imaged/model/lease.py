"""A DHCP lease: which machine may use which address, until when."""

from enum import Enum
from ipaddress import IPv4Address

from attrs import frozen

from imaged.model.net import Mac


class LeaseState(Enum):
    """What the address is to the machine. A lease past its time is free again in every state."""

    OFFERED = "offered"
    BOUND = "bound"
    RELEASED = "released"
    DECLINED = "declined"  # the machine found somebody else on it


@frozen
class Lease:
    """One address. ``expires`` in seconds since the epoch. Whose it was stays known, so that it comes back to it."""

    address: IPv4Address
    mac: Mac
    state: LeaseState
    expires: float
