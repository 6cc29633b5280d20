"""What a TFTP server decides: which requests it serves, on what terms, and what each moment of a transfer calls for.

RFC 1350, 2347 (options), 2348 (blksize), 2349 (timeout, tsize), 7440 (windowsize), 6298 (retransmission timer).
Blocks are counted from 1 without end here; only the wire's numbers roll over. Time comes in as seconds. What is made
anew for each packet is a NamedTuple: a frozen class of attrs takes four times as long, and that is most of a packet.
"""

from enum import Enum
from typing import Final, NamedTuple

from attrs import frozen

from imaged.wire.tftp import Error, ErrorCode, Options, ReadRequest, WriteRequest

# A spoofed request must not make us a cannon: nobody is sent more than this until they have answered once.
SENDS_BEFORE_FIRST_ACK: Final = 3
# Longest life of a transfer, so that a client which acknowledges one block a minute does not keep a session for ever.
LIFETIME: Final = 3600.0

_FIRST_TIMEOUT: Final = 0.5
_SHORTEST_TIMEOUT: Final = 0.25
_LONGEST_TIMEOUT: Final = 8.0
# An OACK is first repeated when the client asks again, as every client does. Unasked we repeat it later than any of
# them repeats a lost ACK of it: to some (atftp 0.8) a second OACK is an error, and they leave.
_OFFER_TIMEOUT: Final = 8.0
_SLOWEST_PATH: Final = 1.0  # an OACK that was answered later was answered by a client's own timer


@frozen
class Limits:
    """What we agree to at most: ``block`` in bytes, ``window`` in blocks, ``tries`` sends of one window."""

    block: int = 1468
    window: int = 64
    tries: int = 8


@frozen
class Terms:
    """What was agreed for one transfer. ``accepted`` goes into the OACK; empty: there is none (RFC 2347 section 2).

    ``longest_wait`` is the ceiling of the retransmission timer in seconds.
    """

    block: int = 512
    window: int = 1
    longest_wait: float = _LONGEST_TIMEOUT
    accepted: Options = ()


NOT_FOUND: Final = Error(ErrorCode.FILE_NOT_FOUND, "File not found")
UNKNOWN_TRANSFER: Final = Error(ErrorCode.UNKNOWN_TRANSFER, "Unknown transfer ID")
BROKEN: Final = Error(ErrorCode.UNDEFINED, "Internal error")
_NO_WRITING: Final = Error(ErrorCode.ACCESS_VIOLATION, "Read only server")
_OCTET_ONLY: Final = Error(ErrorCode.ILLEGAL_OPERATION, "Only octet (binary) mode is served")
_OPTIONS_REFUSED: Final = Error(ErrorCode.OPTIONS_REFUSED, "Failure to negotiate RFC2347 options")


def refusal(request: ReadRequest | WriteRequest) -> Error | None:
    """Why a request is turned down before its file is looked at, or None."""
    if isinstance(request, WriteRequest):
        return _NO_WRITING
    return None if request.mode.lower() == "octet" else _OCTET_ONLY


def negotiate(asked: Options, size: int, limits: Limits) -> Terms | Error:
    """Terms for a file of ``size`` bytes. Unknown options and values that are no numbers are as if not sent.

    Of an option that is there twice the first counts. A blksize or timeout outside its RFC's range is refused, since
    a client that asked for it would not understand any other; a windowsize out of range is left out.
    """
    block, window, wait, accepted = 512, 1, _LONGEST_TIMEOUT, dict[str, tuple[str, str]]()
    for spelled, text in asked:
        name = spelled.lower()
        if name in accepted or not (text.isascii() and text.isdigit()):
            continue
        value = int(text[:20])  # no range has more digits; int() itself refuses thousands of them
        if name == "blksize":
            if not 8 <= value <= 65464:
                return _OPTIONS_REFUSED
            value = block = min(value, limits.block)
        elif name == "timeout":
            if not 1 <= value <= 255:
                return _OPTIONS_REFUSED
            wait = min(float(value), _LONGEST_TIMEOUT)
        elif name == "windowsize" and 1 <= value <= 65535:
            value = window = min(value, limits.window)
        elif name == "tsize":
            value = size
        else:
            continue
        accepted[name] = (spelled, str(value))
    return Terms(block, window, wait, tuple(accepted.values()))


class RoundTrip(NamedTuple):
    """The retransmission timer of RFC 6298 section 2, with LAN bounds instead of its one second."""

    smoothed: float | None = None
    variation: float = 0.0

    def measured(self, sample: float) -> "RoundTrip":
        """With one more round trip of ``sample`` seconds."""
        smoothed, variation = self
        if smoothed is None:
            return RoundTrip(sample, sample / 2)
        return RoundTrip(0.875 * smoothed + 0.125 * sample, 0.75 * variation + 0.25 * abs(smoothed - sample))

    @property
    def timeout(self) -> float:
        """Seconds to wait for an answer before the first repetition."""
        smoothed, variation = self
        if smoothed is None:
            return _FIRST_TIMEOUT
        timeout = smoothed + 4 * variation
        return timeout if timeout > _SHORTEST_TIMEOUT else _SHORTEST_TIMEOUT


class Ending(Enum):
    """How a transfer ended."""

    COMPLETE = "complete"
    UNANSWERED = "the client never answered"
    SILENT = "the client fell silent"
    EXPIRED = "it took too long"


class Move(NamedTuple):
    """What to do now: send the OACK, or these blocks in order; call ``tick`` at ``wake``; or stop, it is over."""

    offer: bool = False
    blocks: range = range(0)
    wake: float = 0.0
    ending: Ending | None = None


class Transfer:
    """One file on its way to one client. Each method takes the time and returns the next Move."""

    def __init__(self, terms: Terms, size: int, tries: int = 8) -> None:
        self._terms = terms
        self._size = size
        self._tries = tries
        self._last = size // terms.block + 1  # a full last block is followed by an empty one (RFC 1350 section 6)
        self._offering = bool(terms.accepted)
        self._confirmed = False
        self._acked = 0
        self._sent = 0
        self._sends = 0  # of what is on its way now
        self._sent_at = 0.0
        self._begun = 0.0
        self._round_trip = RoundTrip()
        self._wake = 0.0
        self._ending: Ending | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the client has answered at all: until then its address may be somebody else's."""
        return self._confirmed

    def span(self, block: int) -> tuple[int, int]:
        """Offset and length of a block in the file."""
        offset = (block - 1) * self._terms.block
        return offset, min(self._terms.block, self._size - offset)

    def begin(self, now: float) -> Move:
        """The first packet."""
        self._begun = now
        return self._send(now)

    def requested_again(self, now: float) -> Move:
        """The same request came again: our first packet was lost, or the network doubled theirs."""
        if self._confirmed or self._ending or self._sends >= SENDS_BEFORE_FIRST_ACK:
            return self._wait()
        return self._send(now)

    def acknowledged(self, number: int, now: float) -> Move:
        """An ACK with the wire's ``number``.

        An ACK within the window says that what follows it was lost: the next window begins there (RFC 7440 section 4).
        One that tells nothing new never makes us send, or each doubled packet would double all that follow
        (RFC 1123 section 4.2.3.1).
        """
        ahead = (number - self._acked) & 0xFFFF
        if self._ending or (number if self._offering else not 0 < ahead <= self._sent - self._acked):
            return self._wait()
        took = now - self._sent_at
        # The answer to a repeated packet measures nothing (Karn; RFC 6298 section 3); nor does a repeated ACK.
        if self._sends == 1 and (took < _SLOWEST_PATH or not self._offering):
            self._round_trip = self._round_trip.measured(took)
        self._confirmed = True
        self._offering = False
        self._acked += ahead
        self._sends = 0
        if self._acked == self._last:
            return self._end(Ending.COMPLETE)
        if now - self._begun > LIFETIME:
            return self._end(Ending.EXPIRED)
        return self._send(now)

    def went_on(self, windows: int, now: float) -> None:
        """So many whole windows were acknowledged, each by its first sending, and the next one was sent, up to ``now``.

        What ``acknowledged`` would have said of each; whoever is in a hurry may say it of many at once. It measures
        nothing: one round trip in a while is enough (RFC 6298 section 4).
        """
        self._confirmed = True
        self._acked += windows * self._terms.window
        self._sent = self._acked + self._terms.window
        self._sends = 0
        self._wait_from(now)

    def tick(self, now: float) -> Move:
        """The time of the last Move's ``wake`` has come."""
        if self._ending or now < self._wake:
            return self._wait()
        if not self._confirmed and self._sends >= SENDS_BEFORE_FIRST_ACK:
            return self._end(Ending.UNANSWERED)
        if self._sends >= self._tries:
            return self._end(Ending.SILENT)
        return self._send(now)

    def _send(self, now: float) -> Move:
        if self._offering:
            self._sends += 1
            self._sent_at = now
            self._wake = now + _OFFER_TIMEOUT
            return Move(offer=True, wake=self._wake)
        self._wait_from(now)
        acked = self._acked
        self._sent = sent = min(acked + self._terms.window, self._last)
        return Move(False, range(acked + 1, sent + 1), self._wake)

    def _wait_from(self, now: float) -> None:
        """A window is sent, and its answer waited for."""
        wait = self._round_trip.timeout * (1 << self._sends)
        longest = self._terms.longest_wait
        self._wake = now + (wait if wait < longest else longest)
        self._sends += 1
        self._sent_at = now

    def _wait(self) -> Move:
        return Move(wake=self._wake, ending=self._ending)

    def _end(self, ending: Ending) -> Move:
        self._ending = ending
        return Move(ending=ending)
