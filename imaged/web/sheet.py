"""What a reader has of a page, and what must be sent so that it has what there is. Pure.

A page is a list of blocks. One whose rows came, went or moved is sent whole; else its head and its rows, each for
itself.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

_RANGE = 2**64


@frozen
class Row:
    """``kind`` names what renders ``value``; ``id`` is its element's."""

    id: str
    kind: str
    value: Any


@frozen
class Block:
    """A piece of a page that changes. Its element has ``id``, what is rendered of ``value``, and below that ``rows``.

    With rows, what is rendered of ``value`` is an element of its own: see ``head``.
    """

    id: str
    kind: str
    value: Any
    rows: tuple[Row, ...] = ()

    @property
    def head(self) -> Row:
        """The block without its rows, if it can have some."""
        return Row(f"{self.id}-head", f"{self.kind}_head", self.value)


@frozen
class Turn:
    """``whole``: these are all the blocks that there are; a page that has others must be loaded again."""

    changes: tuple[Block | Row, ...] = ()
    whole: bool = False


@define(eq=False)
class Sheet:
    """What one reader has."""

    _known: dict[str, tuple[Any, int]] = field(factory=dict)
    _blocks: tuple[str, ...] | None = None
    _sum: int = 0

    @property
    def begun(self) -> bool:
        """Whether the reader was told of anything yet."""
        return self._blocks is not None

    @property
    def mark(self) -> str:
        """The same for two readers that have the same, whoever served them."""
        return f"{self._sum:016x}"

    def turn(self, blocks: Sequence[Block]) -> Turn:
        """What makes of what the reader has what ``blocks`` are."""
        ids = tuple(block.id for block in blocks)
        whole = ids != self._blocks
        if whole:
            self._known, self._blocks, self._sum = {}, ids, 0
        changes: list[Block | Row] = []
        for block in blocks:
            changes += self._of(block)
        return Turn(tuple(changes), whole)

    def _of(self, block: Block) -> list[Block | Row]:
        shape = tuple(row.id for row in block.rows)
        before = self._known.get(f"{block.id} ")
        moved = self._takes(f"{block.id} ", shape)
        for gone in set(before[0]).difference(shape) if before and moved else ():
            self._sum = (self._sum - self._known.pop(f"{block.id} {gone}")[1]) % _RANGE
        said = self._takes(block.id, block.value)
        rows = [row for row in block.rows if self._takes(f"{block.id} {row.id}", row.value)]
        if moved or (said and not block.rows):
            return [block]
        return [*([block.head] if said else []), *rows]

    def _takes(self, key: str, value: Any) -> bool:
        known = self._known.get(key)
        if known is not None and known[0] == value:
            return False
        digest = _digest(key, value)
        self._sum = (self._sum + digest - (known[1] if known else 0)) % _RANGE
        self._known[key] = value, digest
        return True


def _digest(key: str, value: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr((key, value)).encode(errors="replace"), digest_size=8).digest(), "big")
