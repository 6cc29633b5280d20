"""Groups of nodes: what is said of their nodes, that overrides and scripts may be for them, and which group wins."""

import re
from collections.abc import Iterable

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.setup import UNSAID, Setup

DEFAULT_PRIORITY = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def group_name(text: str) -> str:
    """A name that is safe as one path component. Raises BadInput."""
    if not _NAME.fullmatch(text) or ".." in text or text.endswith(".protect"):
        raise BadInput(
            f"{text[:80]!r} is not a group name",
            hint="Use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
        )
    return text


@frozen
class Group:
    """``priority`` as in SystemImager: the lowest number is applied last, so it wins; equal ones go by name.

    ``setup`` holds for its nodes where neither they nor a group that wins say something else.
    """

    name: str
    priority: int = DEFAULT_PRIORITY
    setup: Setup = UNSAID


def in_order(groups: Iterable[Group]) -> tuple[Group, ...]:
    """In the order in which they are applied: the winner last."""
    return tuple(sorted(groups, key=lambda each: (-each.priority, each.name)))
