"""Work is never lost unasked, and nothing is sealed unasked."""

import pytest

from imaged.planning.leaving import After, leave


@pytest.mark.parametrize(
    ("wished", "code", "changed", "terminal", "force", "expected"),
    [
        (After.ASK, 0, True, True, False, After.ASK),
        (After.ASK, 1, True, True, False, After.ASK),
        (After.ASK, 0, True, False, False, After.KEEP),
        (After.ASK, 0, False, True, False, After.DISCARD),
        (After.SEAL, 0, True, False, False, After.SEAL),
        (After.SEAL, 100, True, True, False, After.KEEP),
        (After.SEAL, 100, True, False, True, After.SEAL),
        (After.SEAL, 0, False, True, False, After.DISCARD),
        (After.KEEP, 0, False, True, False, After.KEEP),
        (After.KEEP, 1, True, False, False, After.KEEP),
        (After.DISCARD, 1, True, False, False, After.DISCARD),
    ],
)
def test_what_becomes_of_a_copy(
    wished: After, code: int, changed: bool, terminal: bool, force: bool, expected: After
) -> None:
    leaving = leave(wished, code=code, changed=changed, terminal=terminal, force=force)
    assert leaving.after is expected
    assert bool(leaving.reason) == (expected is not wished), "whoever gets something else than asked for is told why"
