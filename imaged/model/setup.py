"""What a node runs and how it is laid out, said of it or of a group of nodes, and who wins where several say it."""

import re
from collections.abc import Iterable
from functools import reduce
from typing import Final

from attrs import field, frozen

from imaged.model.errors import BadInput
from imaged.model.names import NO_IMAGE, ImageRef

NO_CONSOLE: Final = "none"  # no console, whatever the groups say
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST = 4096  # characters of a variable
_TAKEN = frozenset(dir(dict))  # in templates `var.items` would be the method of that name


@frozen
class Setup:
    """What is empty was not said. ``variables`` are for templates.

    ``first`` is the boot action that new nodes begin with. Only groups say it, and nothing comes of it for a node that
    is there already: to install one is always said of the node.
    """

    image: ImageRef = NO_IMAGE
    layout: str = ""
    console: str = ""
    variables: dict[str, str] = field(factory=dict, hash=False)
    first: str = ""

    def over(self, other: "Setup") -> "Setup":
        """What is said here, else what ``other`` says; each variable by itself."""
        return Setup(
            self.image or other.image,
            self.layout or other.layout,
            self.console or other.console,
            {**other.variables, **self.variables},
            self.first or other.first,
        )


UNSAID: Final = Setup()
DEFAULTS: Final = Setup(layout="one-disk", first="install")
_SAID: Final = ("image", "layout", "console", "first")


def effective(layers: Iterable[Setup]) -> Setup:
    """What holds where ``layers`` say it one after the other, the winner last."""
    return reduce(lambda under, each: each.over(under), layers, DEFAULTS)


def origins(layers: Iterable[tuple[str, Setup]]) -> dict[str, str]:
    """By what is said (``image``, ``layout``, ``console``, ``first``, ``var.rack``) the name of the layer that says it.

    ``layers`` as for ``effective``, each with its name. What nobody says is ``default``.
    """
    found = dict.fromkeys(_SAID, "default")
    for name, setup in layers:
        found |= {key: name for key in _SAID if getattr(setup, key)}
        found |= {f"var.{key}": name for key in setup.variables}
    return found


def variable(name: str, text: str) -> tuple[str, str]:
    """A variable that templates can read and a database can hold. Raises BadInput."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        why = "is a word of the template language" if name in _TAKEN else "is not the name of a variable"
        raise BadInput(f"{name[:80]!r} {why}", hint="Use up to 64 letters, digits and '_', no digit first.")
    if len(text) > _LONGEST or any(not letter.isprintable() and letter not in "\n\t" for letter in text):
        raise BadInput(f"is not a text of at most {_LONGEST} letters", where=f"variable {name}")
    return name, text
