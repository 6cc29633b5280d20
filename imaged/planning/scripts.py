"""Which scripts of a directory are a node's, and in which order they run. For pre-, post-install and post-update. Pure.

``NNclass.description``, as SystemImager has it: two or more digits, then ``all``, or the name of an image, a group or
a node. Classes run in that order, the digits order the scripts of one class.
"""

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from imaged.model.override import layer_names

_NAME = re.compile(r"(\d+)([a-z0-9][a-z0-9._-]*)", re.ASCII)


@frozen
class Choice:
    """The files to run, in order, and those that can never run because their name says nothing."""

    run: tuple[str, ...]
    strange: tuple[str, ...] = ()


@frozen
class Chosen:
    """A script that runs, and for whose sake: ``all``, ``image/compute``, ``group/gpu`` or ``node/n1``."""

    name: str
    layer: str


def choose(names: Iterable[str], image: str, groups: Sequence[str], node: str) -> Choice:
    """``names`` are those of a directory; ``groups`` in their order, the winner last.

    A class may hold dots (``compute-1.2``), so a name belongs to the classes that are followed by a dot in it; a
    script that fits several (an image and a node of one name) runs once, in the first.
    """
    known = [name for name in names if not name.endswith("~") and not name.startswith(".")]
    ordered = tuple(each.name for each in chosen(known, image, groups, node))
    return Choice(ordered, tuple(sorted(name for name in known if not _NAME.fullmatch(name) or "." not in name)))


def chosen(names: Iterable[str], image: str, groups: Sequence[str], node: str) -> tuple[Chosen, ...]:
    """As ``choose``, each script with the class for which it runs."""
    known = [name for name in names if not name.endswith("~") and not name.startswith(".")]
    words = ("all", image, *groups, node)
    ordered: dict[str, str] = {}
    for word, layer in zip(words, layer_names(image, groups, node), strict=True):
        for name in sorted((name for name in known if is_for(name, word)), key=_key):
            ordered.setdefault(name, layer)
    return tuple(Chosen(name, layer) for name, layer in ordered.items())


def is_for(name: str, word: str) -> bool:
    """Whether the script ``name`` is one of the class ``word``."""
    match = _NAME.fullmatch(name)
    return any(rest.startswith(f"{word}.") for rest in _classes(name)) if match else False


def _classes(name: str) -> tuple[str, ...]:
    """What may follow the digits: with a node ``1a``, ``101a.x`` is 10 of ``1a`` as well as 101 of ``a``."""
    digits = len(name) - len(name.lstrip("0123456789"))
    return tuple(name[at:] for at in range(min(2, digits), digits + 1))


def _key(name: str) -> tuple[int, str]:
    return int(re.match(r"\d+", name)[0]), name  # type: ignore[index]
