"""What the agents of nodes answer to a verb of the server, read and folded. Pure."""

import json

from attrs import frozen

from imaged.model.codec import from_plain
from imaged.model.errors import BadInput
from imaged.model.outcome import Drift

# Exit codes of the agent, see installer/node/main.py; those of a shell that does not find it, of ssh, of timeout(1).
DONE, REFUSED, DRIFTED, NO_SERVER = 0, 3, 4, 5
NOT_FOUND = frozenset({126, 127})
_WORDS = {REFUSED: "refused", NO_SERVER: "cannot reach the server", 124: "took too long", 255: "not reached by ssh"}


@frozen
class Change:
    """One path that an update changes: ``action`` is add, change, delete or protected."""

    action: str
    path: str
    reason: str = ""


@frozen
class UpdateAnswer:
    """The one line of JSON that ``imaged updateclient --json`` ends with on a node."""

    image: str
    outcome: str
    message: str = ""
    added: int = 0
    changed: int = 0
    deleted: int = 0
    protected: int = 0
    reboot: bool = False
    changes: tuple[Change, ...] = ()


@frozen
class Heard:
    """How a node's update ended: ``answer`` is None when there is none, ``fault`` says why or what is wrong."""

    node: str
    answer: UpdateAnswer | None
    fault: str


def last_json(output: str) -> object:
    """The JSON value of the last line that has one; a node's profile may print before it. Raises BadInput."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                continue
    raise BadInput("the node's answer has no JSON in it", hint="Its agent may be older than this server.")


def why_not(code: int, errors: str) -> str:
    """Why a node has no answer for us, in a line."""
    said = [line.strip() for line in errors.splitlines() if line.strip()]
    word = "has no agent" if code in NOT_FOUND else _WORDS.get(code, f"ended with {code}")
    return f"{word}: {said[-1]}" if said else word


def read_update(output: str) -> UpdateAnswer:
    """Raises BadInput for what is no answer to an update."""
    return from_plain(last_json(output), UpdateAnswer, where="answer")


def read_drift(output: str) -> Drift:
    """Raises BadInput for what is no answer to a verify."""
    return from_plain(last_json(output), Drift, where="answer")


def counts(answer: UpdateAnswer) -> str:
    """``3 added, 97 changed, 1 deleted, 4 protected``; what is 0 is left out."""
    pairs = (("added", answer.added), ("changed", answer.changed), ("deleted", answer.deleted))
    words = [f"{number} {word}" for word, number in (*pairs, ("protected", answer.protected)) if number]
    return ", ".join(words) or "nothing to do"
