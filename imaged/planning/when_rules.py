"""Conditions in a layout: each can be read and asks about disks that there are."""

from collections.abc import Iterator

from imaged.model.errors import BadInput
from imaged.planning.layout_draft import Draft
from imaged.planning.when import disks_asked, parse


def when_faults(draft: Draft) -> Iterator[str]:
    """Of every ``when``."""
    entries = {spec.id for spec in draft.specs}
    for at, text in _conditions(draft):
        try:
            asked = sorted(set(disks_asked(parse(text))) - entries)
        except BadInput as error:
            yield f"{at}.when: {error.what}"
            continue
        if draft.complete:
            yield from (f"{at}.when: there is no disk entry {id!r}" for id in asked)


def _conditions(draft: Draft) -> Iterator[tuple[str, str]]:
    yield from ((holder.at, holder.content.when) for holder in draft.holders() if holder.content.when)
    yield from ((at, each.when) for at, each in draft.subvolumes() if each.when)
    yield from ((group.at, group.group.when) for group in draft.lvm if group.group and group.group.when)
    yield from ((at, each.when) for at, each in draft.swap if each.when)
    yield from ((at, each.when) for at, each in draft.mounts if each.when)
