"""A machine that was seen to network-boot, whether or not it is a node of ours."""

from attrs import frozen

from imaged.model.net import Mac


@frozen
class Machine:
    """What its DHCP requests told. Times are seconds since the epoch."""

    mac: Mac
    uuid: str = ""
    arch: str = ""
    vendor_class: str = ""
    relay: str = ""
    address: str = ""
    first_seen: float = 0.0
    last_seen: float = 0.0
