"""Names that people give: nodes, images, versions, channels. Parsed once; nobody checks them again."""

import re
from typing import Final

from attrs import frozen

from imaged.model.errors import BadInput

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
WORD = r"[a-z0-9][a-z0-9._-]{0,63}"
_LABEL = re.compile(LABEL)
_IMAGE = re.compile(WORD)
DEFAULT_CHANNEL = "stable"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def node_name(text: str) -> str:
    """A host name label (RFC 1123, section 2.1): lower case, at most 63 characters. Raises BadInput."""
    if not _LABEL.fullmatch(text):
        raise BadInput(
            f"{_shown(text)} is not a node name",
            hint="Use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.",
        )
    return text


def image_name(text: str) -> str:
    """A name that is safe as one path component and as an rsync module. Raises BadInput."""
    if not _IMAGE.fullmatch(text) or ".." in text:
        raise BadInput(
            f"{_shown(text)} is not an image name",
            hint="Use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
        )
    return text


def layout_name(text: str) -> str:
    """A layout: the name of its file without ``.yaml``, safe as one path component. Raises BadInput."""
    if not _IMAGE.fullmatch(text) or ".." in text:
        raise BadInput(
            f"{_shown(text)} is not a layout name",
            hint="Use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
        )
    return text


def channel_name(text: str) -> str:
    """A channel: like an image name, but never a number, so that it cannot be taken for a version."""
    if text.isdigit() or not _IMAGE.fullmatch(text) or ".." in text:
        raise BadInput(f"{_shown(text)} is not a channel name", hint="Use a word such as 'stable' or 'canary'.")
    return text


@frozen(order=True)
class ImageRef:
    """What a node is to run: ``compute`` (its stable channel), ``compute@canary`` or exactly ``compute@3``."""

    image: str
    version: int | None = None
    channel: str = DEFAULT_CHANNEL

    @classmethod
    def parse(cls, text: str) -> "ImageRef":
        """Read ``NAME``, ``NAME@CHANNEL`` or ``NAME@VERSION``. Raises BadInput."""
        name, at, tag = text.partition("@")
        if not at:
            return cls(image_name(name))
        if tag.isascii() and tag.isdigit() and 0 < len(tag) <= 9 and int(tag) > 0:
            return cls(image_name(name), version=int(tag), channel="")
        return cls(image_name(name), channel=channel_name(tag))

    def __str__(self) -> str:
        return f"{self.image}@{self.version if self.version else self.channel}" if self.image else ""

    def __bool__(self) -> bool:
        return bool(self.image)


NO_IMAGE: Final = ImageRef("", channel="")  # said nowhere: the node is left alone
