"""Images and their versions: channels move, versions go, images get another name. Making versions is not here."""

from collections.abc import Sequence

from attrs import frozen

from imaged.admin.desk import Desk
from imaged.model.errors import BadInput, Conflict, NotFound
from imaged.model.image import Version
from imaged.model.names import DEFAULT_CHANNEL, ImageRef, channel_name, image_name
from imaged.store import edits
from imaged.store.usage import busy, followers, needed, users

_WHICH = "`imaged lsimage` shows the images there are."


@frozen
class Moved:
    """A channel that means ``version`` now, and meant ``before``."""

    channel: str
    version: Version
    before: int


@frozen
class Judged:
    """What becomes of a version when old ones are removed: it ``goes``, or stays for ``reasons``."""

    ref: str
    goes: bool
    reasons: tuple[str, ...] = ()


def publish(desk: Desk, version: ImageRef, channel: str = DEFAULT_CHANNEL) -> Version:
    """``channel`` means this version from now on. Raises BadInput, NotFound."""
    wanted = desk.images.resolve(version)
    desk.images.publish(wanted, channel_name(channel))
    return wanted


def roll_back(desk: Desk, channel: ImageRef) -> Moved:
    """The channel means what it meant before. Raises BadInput for a version, NotFound when there is nothing older."""
    if channel.version:
        what = f"{channel} is a version, and only channels move"
        raise BadInput(what, hint=f"Name a channel: {channel.image}@{DEFAULT_CHANNEL}.")
    left, version = desk.images.rollback(channel.image, channel.channel)
    return Moved(channel.channel, version, left)


def rename(desk: Desk, name: str, target: str) -> None:
    """Another name for an image, with its versions and channels. Raises NotFound, and Conflict while a node uses it."""
    image_name(target)
    if not desk.images.numbers(name):
        raise NotFound(f"there is no image {name!r}", hint=_WHICH)
    for each in (name, target):  # a node that waits for an image of the new name must not be given this one
        if nodes := followers(desk.engine, each):
            hint = "Give these nodes another image first."
            raise Conflict(f"is used by {', '.join(nodes)}", where=each, hint=hint)
    desk.images.rename(name, target)


def remove(desk: Desk, names: Sequence[str], *, force: bool = False) -> None:
    """Remove versions (``compute@3``) and images with all their versions (``compute``): all of them, or none.

    Refused by a Conflict: what a node is to run, runs or copies, what a channel means, what somebody keeps an edited
    copy of. ``force`` removes what nodes use or somebody edits, but never what one copies just now. Raises NotFound.
    """
    images = desk.images
    wanted = {text: _numbers(desk, text) for text in names}
    used, copying = users(desk.engine, images), busy(desk.engine)
    for text, numbers in wanted.items():
        name = text.partition("@")[0]
        for number in numbers:
            ref = f"{name}@{number}"
            if nodes := copying.get(ref):
                raise Conflict(f"is being copied by {', '.join(nodes)}", where=ref, hint="Wait until that is done.")
            if ref in used and not force:
                hint = "Give these nodes another image first, or remove it all the same with --force."
                raise Conflict(f"is used by {', '.join(used[ref])}", where=ref, hint=hint)
        if "@" in text:
            _refuse_meant(desk, name, numbers)
        if not force:
            _refuse_edited(desk, name, numbers)
    gone: set[str] = set()
    for text, numbers in wanted.items():
        name = text.partition("@")[0]
        if "@" not in text:
            images.remove_image(text)
        elif name not in wanted and (ref := f"{name}@{numbers[0]}") not in gone:  # else it goes with its image
            images.remove(name, numbers[0])
            gone.add(ref)


def prune(
    desk: Desk, name: str, keep: int, used: dict[str, tuple[str, ...]], *, dry_run: bool = False
) -> tuple[Judged, ...]:
    """Remove the versions of an image that nobody needs; the newest ``keep`` stay, and the last one.

    ``used`` are the nodes of each version, as of ``store.usage.users``. Raises Conflict while a version is made.
    """
    numbers, reasons = desk.images.numbers(name), needed(desk.images, name)
    wanted = {number: (*reasons.get(number, ()), *used.get(f"{name}@{number}", ())) for number in numbers}
    spared = set(numbers[len(numbers) - keep :] if keep else ()) | {number for number, why in wanted.items() if why}
    spared |= set() if spared else set(numbers[-1:])
    for number in numbers:
        if number not in spared and not dry_run:
            desk.images.remove(name, number)
    return tuple(Judged(f"{name}@{each}", each not in spared, wanted[each]) for each in numbers)


def _numbers(desk: Desk, text: str) -> tuple[int, ...]:
    """Also of versions that are damaged."""
    images = desk.images
    ref = ImageRef.parse(text)
    numbers = images.numbers(ref.image)
    if "@" not in text:
        if not numbers and ref.image not in images.unfinished():
            raise NotFound(f"there is no image {text!r}", hint=_WHICH)
        return numbers
    number = ref.version or images.channels(ref.image).get(ref.channel)
    return (number,) if number in numbers and number else (images.resolve(ref).number,)


def _refuse_meant(desk: Desk, name: str, numbers: tuple[int, ...]) -> None:
    meant = [channel for channel, number in desk.images.channels(name).items() if number in numbers]
    if meant:
        hint = f"`imaged publish {name}@N {meant[0]}` moves it first."
        raise Conflict(f"is what the channel {meant[0]} means", where=f"{name}@{numbers[0]}", hint=hint)


def _refuse_edited(desk: Desk, name: str, numbers: tuple[int, ...]) -> None:
    copy = edits.mark(desk.images, name)
    if copy and copy.base in numbers:
        hint = (
            f"`imaged enter {name}` goes on with it; --force removes what it is a copy of, and with an image the copy."
        )
        raise Conflict(f"{copy.who} keeps an edited copy since {copy.since}", where=f"{name}@{copy.base}", hint=hint)
