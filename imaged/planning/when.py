"""Conditions of a layout (``when: "arch == x86_64 and count(data) >= 2"``): read, shown again, decided. Pure, no eval.

condition  = all { "or" all }         all = term { "and" term }
term       = "not" term | "(" condition ")" | comparison
comparison = ("firmware" | "arch") ("==" | "!=") WORD
           | ("ram" | "size(ID)") OP SIZE | "count(ID)" OP NUMBER
"""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from attrs import frozen

from imaged.model.arch import KNOWN, machine_arch
from imaged.model.errors import BadInput
from imaged.model.size import SizeBounds, parse_size

_TOKEN = re.compile(r"[A-Za-z0-9_.-]+|[<>=!]=?|[()]|\S")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_FIRMWARES = ("bios", "uefi")
_DEEPEST = 20  # brackets within brackets: nobody needs more, and Python's stack must not be what refuses


class Subject(Enum):
    """What may be asked."""

    FIRMWARE = "firmware"
    ARCH = "arch"
    RAM = "ram"
    COUNT = "count"
    SIZE = "size"


class Op(Enum):
    """How it is compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@frozen
class Comparison:
    """``id`` is the disk entry of a count or size. ``value`` is a word, a number, or bytes."""

    subject: Subject
    id: str
    op: Op
    value: str | int

    def __str__(self) -> str:
        asked = f"{self.subject.value}({self.id})" if self.id else self.subject.value
        size = self.subject in (Subject.RAM, Subject.SIZE) and isinstance(self.value, int)
        return f"{asked} {self.op.value} {SizeBounds(int(self.value), int(self.value)) if size else self.value}"


@frozen
class Not:
    """What does not hold."""

    of: "Condition"

    def __str__(self) -> str:
        return f"not {_term_of(self.of)}"


@frozen
class All:
    """Two or more that must hold together."""

    of: tuple["Condition", ...]

    def __str__(self) -> str:
        return " and ".join(map(_term_of, self.of))


@frozen
class Any:
    """Two or more of which one must hold."""

    of: tuple["Condition", ...]

    def __str__(self) -> str:
        return " or ".join(f"({each})" if isinstance(each, Any) else str(each) for each in self.of)


Condition = Comparison | Not | All | Any


@frozen
class Facts:
    """What conditions are decided by: ``arch`` as ``uname -m``, ``firmware`` bios or uefi, ``ram`` and sizes in bytes.

    ``counts`` and ``sizes`` go by the id of a disk entry: how many disks it got, and the size of the smallest of them.
    """

    firmware: str
    arch: str
    ram: int
    counts: Mapping[str, int]
    sizes: Mapping[str, int]


def parse(text: str) -> Condition:
    """The condition that ``text`` says. Raises BadInput with the column of what cannot be read."""
    tokens = _Tokens(text)
    condition = _any(tokens, 0)
    if tokens.word:
        raise tokens.fault("expected 'and', 'or' or the end")
    return condition


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether it is so. A comparison with the size of a disk that is not there never holds."""
    if isinstance(condition, Not):
        return not holds(condition.of, facts)
    if isinstance(condition, All):
        return all(holds(each, facts) for each in condition.of)
    if isinstance(condition, Any):
        return any(holds(each, facts) for each in condition.of)
    found = _found(condition, facts)
    return found is not None and _COMPARE[condition.op](found, condition.value)


def may_hold(condition: Condition, counts: Mapping[str, int]) -> bool:
    """Whether there could be a machine on which it is so, and whose entries have these numbers of disks."""
    return _known(condition, counts) is not False


def _known(condition: Condition, counts: Mapping[str, int]) -> bool | None:
    """Whether it is so, None: who knows."""
    if isinstance(condition, Not):
        inner = _known(condition.of, counts)
        return None if inner is None else not inner
    if isinstance(condition, All | Any):
        decided = isinstance(condition, Any)  # one that holds decides an Any, one that does not an All
        found = [_known(each, counts) for each in condition.of]
        return decided if decided in found else None if None in found else not decided
    if condition.id not in counts or condition.subject not in (Subject.COUNT, Subject.SIZE):
        return None
    count = counts[condition.id]
    if condition.subject is Subject.COUNT:
        return _COMPARE[condition.op](count, condition.value)
    return None if count else False


def disks_asked(condition: Condition) -> Iterator[str]:
    """Ids of disk entries that it asks about."""
    if isinstance(condition, Not):
        yield from disks_asked(condition.of)
    elif isinstance(condition, Comparison):
        yield from [condition.id] if condition.id else []
    else:
        for each in condition.of:
            yield from disks_asked(each)


_COMPARE: dict[Op, Callable[[str | int, str | int], bool]] = {
    Op.EQ: lambda found, value: found == value,
    Op.NE: lambda found, value: found != value,
    Op.LT: lambda found, value: int(found) < int(value),
    Op.LE: lambda found, value: int(found) <= int(value),
    Op.GT: lambda found, value: int(found) > int(value),
    Op.GE: lambda found, value: int(found) >= int(value),
}


def _found(asked: Comparison, facts: Facts) -> str | int | None:
    if asked.subject is Subject.FIRMWARE:
        return facts.firmware
    if asked.subject is Subject.ARCH:
        return machine_arch(facts.arch)
    if asked.subject is Subject.RAM:
        return facts.ram
    return facts.counts.get(asked.id, 0) if asked.subject is Subject.COUNT else facts.sizes.get(asked.id)


def _term_of(condition: Condition) -> str:
    return f"({condition})" if isinstance(condition, All | Any) else str(condition)


class _Tokens:
    """The words of a condition, one after another; ``word`` is the next, empty at the end."""

    def __init__(self, text: str) -> None:
        self._found = [(match.start() + 1, match[0]) for match in _TOKEN.finditer(text)]
        self._end = len(text.rstrip()) + 1
        self._next = 0

    @property
    def word(self) -> str:
        return self._found[self._next][1] if self._next < len(self._found) else ""

    def take(self) -> str:
        word = self.word
        self._next += 1
        return word

    def taken(self, word: str) -> bool:
        """Whether ``word`` is next; then it is taken."""
        if self.word != word:
            return False
        self._next += 1
        return True

    def fault(self, what: str) -> BadInput:
        column = self._found[self._next][0] if self._next < len(self._found) else self._end
        found = f"{self.word!r} is there" if self.word else "nothing follows"
        return BadInput(f"column {column}: {what}, {found}")


def _any(tokens: _Tokens, depth: int) -> Condition:
    found = [_all(tokens, depth)]
    while tokens.taken("or"):
        found.append(_all(tokens, depth))
    return Any(tuple(found)) if len(found) > 1 else found[0]


def _all(tokens: _Tokens, depth: int) -> Condition:
    found = [_term(tokens, depth)]
    while tokens.taken("and"):
        found.append(_term(tokens, depth))
    return All(tuple(found)) if len(found) > 1 else found[0]


def _term(tokens: _Tokens, depth: int) -> Condition:
    if depth > _DEEPEST:
        raise tokens.fault(f"more than {_DEEPEST} brackets and 'not' within each other")
    if tokens.taken("not"):
        return Not(_term(tokens, depth + 1))
    if tokens.taken("("):
        inner = _any(tokens, depth + 1)
        if not tokens.taken(")"):
            raise tokens.fault("expected 'and', 'or' or ')'")
        return inner
    return _comparison(tokens)


def _comparison(tokens: _Tokens) -> Comparison:
    if tokens.word not in [subject.value for subject in Subject]:
        raise tokens.fault("expected firmware, arch, ram, count(...) or size(...)")
    subject = Subject(tokens.take())
    id = _disk(tokens) if subject in (Subject.COUNT, Subject.SIZE) else ""
    ops = [Op.EQ, Op.NE] if subject in (Subject.FIRMWARE, Subject.ARCH) else list(Op)
    if tokens.word not in [op.value for op in ops]:
        raise tokens.fault(f"expected {' '.join(op.value for op in ops)}")
    op = Op(tokens.take())
    value = _VALUES[subject](tokens)
    tokens.take()
    return Comparison(subject, id, op, value)


def _disk(tokens: _Tokens) -> str:
    if not tokens.taken("("):
        raise tokens.fault("expected '(' and the id of a disk entry")
    if not _ID.fullmatch(tokens.word):
        raise tokens.fault("expected the id of a disk entry")
    id = tokens.take()
    if not tokens.taken(")"):
        raise tokens.fault("expected ')'")
    return id


def _firmware(tokens: _Tokens) -> str:
    if tokens.word not in _FIRMWARES:
        raise tokens.fault("expected bios or uefi")
    return tokens.word


def _arch(tokens: _Tokens) -> str:
    arch = machine_arch(tokens.word)
    if arch not in KNOWN:
        raise tokens.fault(f"expected one of {', '.join(KNOWN)}")
    return arch


def _count(tokens: _Tokens) -> int:
    if not re.fullmatch("[0-9]{1,4}", tokens.word):
        raise tokens.fault("expected a number of disks")
    return int(tokens.word)


def _size(tokens: _Tokens) -> int:
    try:
        return parse_size(tokens.word)
    except BadInput:
        raise tokens.fault("expected a size such as 8G") from None


_VALUES: dict[Subject, Callable[[_Tokens], str | int]] = {
    Subject.FIRMWARE: _firmware, Subject.ARCH: _arch, Subject.RAM: _size, Subject.COUNT: _count, Subject.SIZE: _size,
}  # fmt: skip
