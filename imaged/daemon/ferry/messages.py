"""What the daemon and its ferries say to each other: a datagram of their channel each, a letter and its matter."""

from typing import Final

from attrs import frozen

from imaged.planning.tftp import Terms

LONGEST: Final = 4096  # bytes of a message

BEGIN: Final = b"B"  # an Order; the open file comes along (SCM_RIGHTS)
AGAIN: Final = b"A"  # a number: the client repeated its request
DROP: Final = b"D"  # a number: its place is needed
CONFIRMED: Final = b"C"  # a number: the client has answered
ENDED: Final = b"E"  # an End
SENT: Final = b"S"  # bytes of files that a ferry has sent since it began


@frozen
class Order:
    """A transfer to be carried, to ``host`` at its ``port``, from our address ``local``."""

    number: int
    host: str
    port: int
    local: str
    size: int
    terms: Terms
    tries: int


@frozen
class End:
    """How a transfer ended, whether its client ever answered, and the ferry's count of bytes by then."""

    number: int
    why: str
    confirmed: bool
    sent: int
