"""What a TFTP server decides, with time as numbers and the network as lists."""

import heapq
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.planning.tftp import (
    LIFETIME,
    SENDS_BEFORE_FIRST_ACK,
    Ending,
    Limits,
    Move,
    RoundTrip,
    Terms,
    Transfer,
    negotiate,
    refusal,
)
from imaged.wire.tftp import Error, ErrorCode, ReadRequest, WriteRequest

LIMITS = Limits(block=1468, window=64)
REFUSED = Error(ErrorCode.OPTIONS_REFUSED, "Failure to negotiate RFC2347 options")


def terms(block=512, window=1, wait=8.0, **accepted):
    return Terms(block, window, wait, tuple(accepted.items()))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), terms()),
        ((("blksize", "1024"),), terms(1024, blksize="1024")),
        ((("blksize", "65464"),), terms(1468, blksize="1468")),
        ((("BlkSize", "01400"),), terms(1400, BlkSize="1400")),
        ((("blksize", "8"),), terms(8, blksize="8")),
        ((("blksize", "7"),), REFUSED),
        ((("blksize", "0"),), REFUSED),
        ((("blksize", "65465"),), REFUSED),
        ((("blksize", "9" * 9000),), REFUSED),
        ((("blksize", "-1"),), terms()),
        ((("blksize", "abc"),), terms()),
        ((("blksize", ""),), terms()),
        ((("blksize", "\xb2"),), terms()),
        ((("blksize", "512"), ("blksize", "1024")), terms(512, blksize="512")),
        ((("blksize", "512"), ("BLKSIZE", "7")), terms(512, blksize="512")),
        ((("windowsize", "4"),), terms(window=4, windowsize="4")),
        ((("windowsize", "65535"),), terms(window=64, windowsize="64")),
        ((("windowsize", "0"),), terms()),
        ((("windowsize", "65536"),), terms()),
        ((("tsize", "0"),), terms(tsize="1000000")),
        ((("tsize", "x"),), terms()),
        ((("timeout", "5"),), terms(wait=5.0, timeout="5")),
        ((("timeout", "255"),), terms(wait=8.0, timeout="255")),
        ((("timeout", "0"),), REFUSED),
        ((("timeout", "256"),), REFUSED),
        ((("timeout", "soon"),), terms()),
        ((("multicast", ""), ("rollover", "0"), ("", "1")), terms()),
        (
            (("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")),  # UEFI
            terms(1468, 4, tsize="1000000", blksize="1468", windowsize="4"),
        ),
    ],
)
def test_negotiate(asked, expected):
    assert negotiate(asked, 1_000_000, LIMITS) == expected


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ReadRequest("a", "octet"), None),
        (ReadRequest("a", "OcTeT"), None),
        (ReadRequest("a", "netascii"), ErrorCode.ILLEGAL_OPERATION),
        (ReadRequest("a", "mail"), ErrorCode.ILLEGAL_OPERATION),
        (ReadRequest("a", "bogus"), ErrorCode.ILLEGAL_OPERATION),
        (ReadRequest("a", ""), ErrorCode.ILLEGAL_OPERATION),
        (WriteRequest("a", "octet"), ErrorCode.ACCESS_VIOLATION),
    ],
)
def test_refusal(request_, code):
    error = refusal(request_)
    assert (error and error.code) == code


OFFER = (("blksize", "512"),)


@pytest.mark.parametrize(
    ("agreed", "size", "script"),
    [
        (  # without options data follows at once; a full block is followed by an empty one
            Terms(), 1024,
            [("begin", range(1, 2)), (1, range(2, 3)), (2, range(3, 4)), (3, Ending.COMPLETE)],
        ),
        (Terms(), 0, [("begin", range(1, 2)), (1, Ending.COMPLETE)]),
        (  # with options nothing but the OACK is sent before it was acknowledged
            Terms(accepted=OFFER), 10,
            [("begin", "offer"), (1, None), (7, None), (0, range(1, 2)), (0, None), (1, Ending.COMPLETE)],
        ),
        (  # a doubled ACK sends nothing (the Sorcerer's Apprentice)
            Terms(), 1500,
            [
                ("begin", range(1, 2)), (1, range(2, 3)), (1, None), (1, None), (2, range(3, 4)), (1, None),
                (3, Ending.COMPLETE),
            ],
        ),
        (  # an ACK within the window: the next one begins behind it (RFC 7440 section 4)
            Terms(window=4), 512 * 9,
            [
                ("begin", range(1, 5)), (2, range(3, 7)), (2, None), (6, range(7, 11)), (4, None), (11, None),
                (10, Ending.COMPLETE),
            ],
        ),
        (  # an ACK of what was never sent is no ACK
            Terms(window=2), 5000,
            [("begin", range(1, 3)), (3, None), (60000, None), (0, None), (2, range(3, 5))],
        ),
    ],
)  # fmt: skip
def test_moves(agreed, size, script):
    transfer = Transfer(agreed, size)
    for step, expected in script:
        move = transfer.begin(0.0) if step == "begin" else transfer.acknowledged(step, 0.0)
        seen = move.ending or ("offer" if move.offer else (move.blocks or None))
        assert seen == expected, step


def sends_until_the_end(transfer, now):
    """Let time pass until the transfer ends by itself: the moments of its sends and of its end."""
    move, moments = transfer.begin(now) if now == 0 else Move(wake=now), [0.0] if now == 0 else []
    while True:
        now = move.wake
        move = transfer.tick(now)
        if move.ending:
            return moments, now, move.ending
        moments.append(now)


@pytest.mark.parametrize(
    ("agreed", "moments", "end"),
    [
        (Terms(), [0.0, 0.5, 1.5], 3.5),
        (Terms(accepted=OFFER), [0.0, 8.0, 16.0], 24.0),  # the client asks again long before, and is answered then
        (Terms(window=64, longest_wait=1.0, accepted=OFFER), [0.0, 8.0, 16.0], 24.0),
    ],
)
def test_a_stranger_is_sent_little(agreed, moments, end):
    assert sends_until_the_end(Transfer(agreed, 10**6), 0.0) == (moments, end, Ending.UNANSWERED)


def test_an_ack_of_the_oack_by_the_clients_own_timer_measures_no_path():
    """The first one was lost. Were five seconds taken for the round trip, each loss would cost fifteen."""
    transfer = Transfer(Terms(window=16, accepted=OFFER), 10**6)
    transfer.begin(0.0)
    assert transfer.acknowledged(0, 5.0).wake == 5.5
    slow = Transfer(Terms(window=16, accepted=OFFER), 10**6)
    slow.begin(0.0)
    assert slow.acknowledged(0, 0.8).wake == pytest.approx(0.8 + 3 * 0.8)


def test_a_silent_client_is_given_up_after_the_tries():
    transfer = Transfer(Terms(), 10**6, tries=6)
    transfer.begin(0.0)
    transfer.acknowledged(1, 0.01)
    moments, end, ending = sends_until_the_end(transfer, 0.26)
    assert moments == pytest.approx([0.26, 0.76, 1.76, 3.76, 7.76])  # with the one at 0.01: six
    assert (end, ending) == (pytest.approx(15.76), Ending.SILENT)


def test_the_negotiated_timeout_is_the_longest_wait():
    transfer = Transfer(Terms(longest_wait=1.0), 10**6, tries=6)
    transfer.begin(0.0)
    transfer.acknowledged(1, 0.0)
    moments, end, _ = sends_until_the_end(transfer, 0.25)
    assert moments == pytest.approx([0.25, 0.75, 1.75, 2.75, 3.75])
    assert end == pytest.approx(4.75)


def test_a_repeated_request_is_answered_again_but_not_for_ever():
    transfer = Transfer(Terms(), 10)
    moves = [transfer.begin(0.0), *(transfer.requested_again(0.1) for _ in range(5))]
    assert sum(bool(move.blocks) for move in moves) == SENDS_BEFORE_FIRST_ACK
    transfer.acknowledged(1, 0.2)
    assert not transfer.requested_again(0.3).blocks


def test_too_early_a_tick_does_nothing():
    transfer = Transfer(Terms(), 10)
    begun = transfer.begin(0.0)
    assert transfer.tick(begun.wake - 0.001) == Move(wake=begun.wake)


def test_nobody_keeps_a_session_for_ever():
    transfer, now = Transfer(Terms(), 10**9), 0.0
    transfer.begin(now)
    for block in itertools.count(1):
        now += 5.0
        move = transfer.acknowledged(block, now)
        if move.ending:
            break
    assert (move.ending, now) == (Ending.EXPIRED, pytest.approx(LIFETIME + 5))


def test_round_trip_follows_rfc_6298():
    first = RoundTrip().measured(0.4)
    assert (RoundTrip().timeout, first, first.timeout) == (0.5, RoundTrip(0.4, 0.2), pytest.approx(1.2))
    assert first.measured(0.8) == RoundTrip(pytest.approx(0.45), pytest.approx(0.25))
    quick = RoundTrip()
    for _ in range(50):
        quick = quick.measured(0.001)
    assert quick.timeout == 0.25


def test_what_was_sent_twice_measures_nothing():
    transfer = Transfer(Terms(), 10**6)
    begun = transfer.begin(0.0)
    transfer.tick(begun.wake)
    assert transfer.acknowledged(1, 1.4).wake == pytest.approx(1.9)  # still the first timeout, not 1.4 s or 0.9 s


class Client:
    """An RFC 7440 client: acknowledges a whole window, a gap, and what it has when it hears nothing."""

    PATIENCE, TRIES = 1.0, 6

    def __init__(self, agreed, content_size):
        self.window, self.block, self.size = agreed.window, agreed.block, content_size
        self.got = self.since_ack = 0
        self.complete = False

    def data(self, number, payload_size):
        """A DATA packet; the number of the ACK to send, or None."""
        if number != (self.got + 1) & 0xFFFF:
            ahead = (number - self.got) & 0xFFFF
            if 0 < ahead < 32768 and self.since_ack >= 0:
                self.since_ack = -1  # one ACK for one gap
                return self.got & 0xFFFF
            # The last window came again: our ACK was lost.
            return self.got & 0xFFFF if self.complete or ahead == 0 else None
        self.got += 1
        self.since_ack = max(self.since_ack, 0) + 1
        self.complete = payload_size < self.block
        if self.complete or self.since_ack >= self.window:
            self.since_ack = 0
            return self.got & 0xFFFF
        return None


def simulate(agreed, size, lost, delay=0.01):
    """Run a transfer against a client over a network that loses the packets that ``lost`` says (True: lost)."""
    transfer, client = Transfer(agreed, size), Client(agreed, size)
    losses, order = iter(lost), itertools.count()
    events, now, wake, sent, ending = [], 0.0, 0.0, 0, None
    received = bytearray()
    content = bytes(i * 37 % 251 for i in range(size))

    def cross(kind, number, payload=b""):
        if not next(losses, False):
            heapq.heappush(events, (now + delay, next(order), kind, number, payload))

    def follow(move):
        nonlocal wake, sent, ending
        wake, ending = move.wake, move.ending or ending
        if move.offer:
            sent += 1
            cross("oack", 0)
        for block in move.blocks:
            sent += 1
            offset, length = transfer.span(block)
            cross("data", block & 0xFFFF, content[offset : offset + length])

    follow(transfer.begin(now))
    patience = now + client.PATIENCE
    heard = False
    client_tries = client.TRIES
    while not ending:
        moments = [wake, *(event[0] for event in events[:1])]
        if heard and client_tries:
            moments.append(patience)
        now = min(moments)
        if events and events[0][0] <= now:
            _, _, kind, number, payload = heapq.heappop(events)
            if kind == "ack":
                follow(transfer.acknowledged(number, now))
                continue
            before, heard = client.got, True
            reply = 0 if kind == "oack" else client.data(number, len(payload))
            if client.got > before:
                received += payload
                client_tries = client.TRIES
            patience = now + client.PATIENCE
            if reply is not None:
                cross("ack", reply)
        elif heard and client_tries and patience <= now:
            client_tries -= 1
            patience = now + client.PATIENCE
            cross("ack", client.got & 0xFFFF)
        else:
            follow(transfer.tick(now))
    return ending, bytes(received) == content, client.complete, sent


AGREEMENTS = st.builds(
    Terms,
    block=st.sampled_from([8, 512, 1468]),
    window=st.sampled_from([1, 2, 4, 16, 64]),
    accepted=st.sampled_from([(), OFFER]),
)


@settings(max_examples=300, deadline=None)
@given(AGREEMENTS, st.integers(0, 20_000), st.lists(st.booleans(), max_size=60))
def test_losses_end_in_the_whole_file_or_in_giving_up(agreed, size, lost):
    ending, identical, complete, sent = simulate(agreed, size, lost)
    if ending is Ending.COMPLETE:
        assert identical
    else:  # every try of something was lost on one way or the other
        assert ending in (Ending.SILENT, Ending.UNANSWERED)
        assert sum(lost) >= SENDS_BEFORE_FIRST_ACK
    assert identical or not complete  # the client never takes a broken file for a whole one
    blocks = size // agreed.block + 1
    assert sent <= (blocks + agreed.window + 1) * (len(lost) + 2)


@settings(max_examples=60, deadline=None)
@given(AGREEMENTS, st.integers(0, 30_000), st.integers(0, 4), st.integers(5, 9))
def test_regular_loss_always_ends_well(agreed, size, first, every):
    """One packet in five or fewer is lost, never six in a row: the file must arrive."""
    lost = itertools.cycle([index == first for index in range(every)])
    ending, identical, _, _ = simulate(agreed, size, itertools.islice(lost, 200_000))
    assert identical
    assert ending in (Ending.COMPLETE, Ending.SILENT)  # SILENT: only the ACKs of the last block were lost


@pytest.mark.parametrize(("window", "size"), [(1, 1 << 20), (64, 1 << 20), (16, (65536 * 8)), (1, 65535 * 8 - 1)])
def test_block_numbers_roll_over(window, size):
    """1 MiB in blocks of 8 bytes: the number on the wire passes 65535 twice."""
    ending, identical, _, sent = simulate(Terms(block=8, window=window), size, [])
    assert (ending, identical, sent) == (Ending.COMPLETE, True, size // 8 + 1)


def test_roll_over_with_losses():
    lost = itertools.cycle([False] * 996 + [True])
    ending, identical, _, _ = simulate(Terms(block=8, window=64), 1 << 20, itertools.islice(lost, 10**6))
    assert (ending, identical) == (Ending.COMPLETE, True)
