"""What an update did or would do, for people and for programs. Pure."""

import json
from typing import Any, Dict, NamedTuple, Tuple

from installer.node.actions import ADD, ATTRIBUTES, CHANGE, DELETE, PROTECTED, Action
from installer.node.decide import counted


class Outcome(NamedTuple):
    """What became of an update: every action with the protected among them, what people should know, whether a new
    kernel waits for a reboot."""

    actions: Tuple[Action, ...]
    said: Tuple[str, ...]
    reboot: bool


def shown(path: bytes) -> str:
    """For people and JSON: bytes that are no text as ``\\xNN``."""
    return "/" + path.decode("utf-8", "backslashreplace") if path != b"." else "/"


def answer(image: str, outcome: Outcome, word: str = "done", message: str = "") -> Dict[str, Any]:
    """The line of JSON that ``--json`` ends with."""
    counts = counted(outcome.actions)
    return {
        "image": image, "outcome": word, "message": message or "; ".join(outcome.said),
        "added": counts[ADD], "changed": counts[CHANGE], "deleted": counts[DELETE], "protected": counts[PROTECTED],
        "reboot": outcome.reboot,
        "changes": [
            {"action": _public(each.verb), "path": shown(each.path), "reason": each.reason}
            for each in outcome.actions
        ],
    }  # fmt: skip


def _public(verb: str) -> str:
    return CHANGE if verb == ATTRIBUTES else verb


def text(image: str, outcome: Outcome) -> str:
    """The same for people, grouped, with counts."""
    found = answer(image, outcome)
    rows = [image]
    for verb in (ADD, CHANGE, DELETE, PROTECTED):
        group = [each for each in found["changes"] if each["action"] == verb]
        if group:
            rows.append("{} ({})".format(verb, len(group)))
            rows += ["  {}  ({})".format(each["path"], each["reason"]) for each in group]
    return "\n".join(rows if rows[1:] else [image + ": nothing to do"])


def as_json(found: Dict[str, Any]) -> str:
    """One line."""
    return json.dumps(found, sort_keys=True)
