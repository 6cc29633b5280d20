"""The language that agent and server share, as a short name: both must have been made from the same values."""

import enum
import hashlib
from functools import cache
from typing import Any, get_args, get_origin

import attrs

from imaged.model.report import Report
from imaged.model.talk import (
    BootToken,
    Claim,
    Claimed,
    MediumBoot,
    PlanAnswer,
    PlanRequest,
    Problem,
    Rescue,
    Rescued,
    Told,
    ToldAnswer,
)
from imaged.model.vault import KeptFiles

HEADER = "Imaged-Dialect"
_SPOKEN: tuple[type, ...] = (
    Claim, Claimed, PlanRequest, PlanAnswer, Problem, Report, MediumBoot, BootToken, Rescue, Rescued, KeptFiles,
    Told, ToldAnswer,
)  # fmt: skip


@cache
def dialect() -> str:
    """16 hex digits that change with any key, type or word of what crosses the wire in an install."""
    told: dict[str, str] = {}
    for each in _SPOKEN:
        _tell(each, told)
    text = "\n".join(f"{name}: {told[name]}" for name in sorted(told))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tell(kind: Any, told: dict[str, str]) -> str:
    """The name of a type; what it consists of is added to ``told``."""
    if arguments := get_args(kind):
        origin = getattr(get_origin(kind), "__name__", "")
        return f"{origin}[{', '.join(_tell(each, told) for each in arguments)}]"
    name: str = getattr(kind, "__name__", str(kind))
    if name in told or not isinstance(kind, type):
        return name
    if attrs.has(kind):
        told[name] = ""
        told[name] = ", ".join(f"{field.name} {_tell(field.type, told)}" for field in attrs.fields(kind))
    elif issubclass(kind, enum.Enum):
        told[name] = ", ".join(str(member.value) for member in kind)
    return name
