"""What a page's function is given, and what it gives back."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen

from imaged.admin.board import Board, Glance
from imaged.admin.desk import Desk
from imaged.daemon.provisioning import Provisioning
from imaged.model.access import Caller, Role
from imaged.model.errors import BadInput, ImagedError
from imaged.model.names import ImageRef
from imaged.planning import access
from imaged.web.sheet import Block

_MOST_FIELDS = 20_000  # a tick for each of 10,000 nodes, and some room


@frozen
class Fields:
    """What an address or a form carries: names with texts, a name several times if need be."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Fields":
        """As browsers send it. Raises BadInput."""
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise BadInput("is not what a form sends", where="form") from None
        if any("\0" in name + each for name, each in pairs):  # no database takes it
            raise BadInput("has a NUL in it", where="form")
        return cls(tuple(pairs))

    def text(self, name: str, otherwise: str = "") -> str:
        """The first of this name, without space around it."""
        return next((each.strip() for key, each in self.pairs if key == name), otherwise)

    def all(self, name: str) -> tuple[str, ...]:
        """All of this name."""
        return tuple(each for key, each in self.pairs if key == name)

    def words(self, name: str) -> tuple[str, ...]:
        """The first of this name, split at commas and spaces."""
        return tuple(dict.fromkeys(self.text(name).replace(",", " ").split()))

    def number(self, name: str) -> int:
        """0 where there is none. Raises BadInput for what is no number."""
        text = self.text(name, "0") or "0"
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadInput(f"{text[:40]!r} is not a number", where=name)
        return int(text)


@frozen
class Visit:
    """A request by somebody who is logged in and may ask. ``names`` are in its path."""

    desk: Desk
    provisioning: Provisioning
    board: Board
    caller: Caller
    now: float
    names: dict[str, str]
    query: Fields = Fields()
    form: Fields = Fields()

    def may(self, role: Role) -> bool:
        """Whether the caller may what needs ``role``."""
        return access.may(self.caller.role, role)

    def meant(self, image: ImageRef) -> str:
        """The version that an image means now; empty where that cannot be told."""
        try:
            return self.desk.images.resolve(image).ref
        except ImagedError:
            return ""

    def glance(self) -> Glance:
        """All nodes as they are now."""
        return self.board.look(self.now)


@frozen
class Page:
    """``it`` is what the template shows; what of it changes is in ``blocks``. ``more`` are other values for it."""

    template: str
    it: Any
    blocks: Sequence[Block] = ()
    status: int = 200
    problem: str = ""
    more: dict[str, Any] = {}


@frozen
class See:
    """Go to another page, where ``said`` is told."""

    path: str
    said: str = ""
