"""Events posted to other programs: which, as what, signed how, and what an answer means. Pure."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final

OLDEST: Final = 86400.0  # seconds: nobody wants to be told now of what failed yesterday
_LONGEST_PAUSE: Final = 300.0  # seconds
_AGAIN: Final = frozenset({408, 425, 429})  # RFC 9110, RFC 8470, RFC 6585: the receiver wants it later


class Verdict(Enum):
    """What becomes of an event after an answer."""

    DONE = "done"
    AGAIN = "again"
    NEVER = "never"  # the receiver does not want this one


def wanted(globs: Iterable[str], what: str, after: Mapping[str, Any]) -> bool:
    """Whether an event is one of ``globs``, by its name, or with the state it leads to: ``state of a node/ready``."""
    names = (what, f"{what}/{after['state']}") if "state" in after else (what,)
    return any(fnmatchcase(name, glob) for glob in globs for name in names)


def signature(secret: str, body: bytes) -> str:
    """As GitHub's ``X-Hub-Signature-256``: HMAC (RFC 2104) with SHA-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verdict(status: int) -> Verdict:
    """Of an HTTP status. A redirection is a wrong URL: a signed body is not sent to a place that a stranger names."""
    if 200 <= status < 300:
        return Verdict.DONE
    return Verdict.AGAIN if status >= 500 or status in _AGAIN else Verdict.NEVER


def pause(tries: int) -> float:
    """Seconds until the next attempt after so many: 1, 2, 4 and so on, five minutes at most."""
    return min(_LONGEST_PAUSE, 2.0 ** min(tries - 1, 20))
