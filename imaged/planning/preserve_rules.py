"""What stays can only stay on what stays: rules about ``preserve`` and ``wipe``."""

from collections.abc import Iterator

from imaged.model.errors import BadInput
from imaged.model.layout import Partition, Wipe
from imaged.model.stack import Preserve, Volume
from imaged.planning.layout_draft import Draft, Holder
from imaged.planning.references import parse_reference
from imaged.planning.stack_rules import key_of


def preserve_faults(draft: Draft) -> Iterator[str]:
    """Of everything with ``preserve``, and of all that it stands on."""
    holders = {holder.key: holder for holder in draft.holders()}
    for holder in holders.values():
        content = holder.content
        if content.preserve is Preserve.NEVER:
            continue
        if isinstance(content, Partition) and holder.entry and holder.entry.wipe is Wipe.ALL:
            yield f"{holder.at}.preserve: its disk has wipe: all; say wipe: none there"
        if isinstance(content, Volume) and holder.made_of and holder.made_of.preserve is Preserve.NEVER:
            yield f"{holder.at}.preserve: its volume group is made anew; say preserve there too"
    for at, consumer in draft.consumers():
        if consumer.preserve is not Preserve.NEVER:
            for text in consumer.devices:
                below = _named(text, holders)
                if below and below.content.preserve is Preserve.NEVER and not isinstance(below.content, Volume):
                    yield f"{at}.preserve: {below.key}, which it lies on, is made anew; say preserve there too"


def _named(text: str, holders: dict[str, Holder]) -> Holder | None:
    try:
        return holders.get(key_of(parse_reference(text)))
    except BadInput:
        return None  # told already
