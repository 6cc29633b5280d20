"""Images: versions, channels, differences. Making versions runs programs and is the command line's."""

from typing import Any

from attrs import field, frozen

from imaged.admin import images, syncfiles
from imaged.admin.jobs import Job
from imaged.daemon.api.groups import Forced
from imaged.daemon.api.route import Call
from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import DEFAULT_CHANNEL, WORD, ImageRef
from imaged.store import changes
from imaged.store.shown import shown
from imaged.store.usage import users

_MOST = 100_000
_FROM_1 = {"limits": {"minimum": 1}}


@frozen
class ImageShown:
    """An image: the numbers of its versions, oldest first, and which of them each channel means."""

    name: str
    versions: tuple[int, ...]
    channels: dict[str, int]


@frozen
class ImageList:
    """By name."""

    images: tuple[ImageShown, ...]


@frozen
class VersionShown:
    """A sealed version, the channels that mean it, and the nodes that are to run it, run it or copy it."""

    version: Version
    channels: tuple[str, ...]
    users: tuple[str, ...]


@frozen
class VersionList:
    """Oldest first. ``damaged`` are the numbers of versions that cannot be read."""

    versions: tuple[VersionShown, ...]
    damaged: tuple[int, ...]


@frozen
class Between:
    """``old`` and ``new`` are versions' numbers, ``limit`` is for the list of changes."""

    old: int = field(metadata=_FROM_1)
    new: int = field(metadata=_FROM_1)
    limit: int = field(default=1000, metadata={"limits": {"minimum": 0, "maximum": _MOST}})


@frozen
class PathChange:
    """``change``: add, change or delete; ``what`` differs, such as ``content`` and ``mode``."""

    path: str
    change: str
    what: tuple[str, ...]


@frozen
class VersionDifference:
    """From one version to another: how many paths there are of each kind of change, and the first of them."""

    old: str
    new: str
    counts: dict[str, int]
    changes: tuple[PathChange, ...]


@frozen
class Meaning:
    """The number of the version that a channel shall mean."""

    version: int = field(metadata=_FROM_1)


@frozen
class ChannelShown:
    """A channel, what it means, and what it meant before that; the latter is null where it is not known."""

    image: str
    channel: str
    version: int
    before: int | None = None


@frozen
class NewName:
    """Another name."""

    name: str = field(metadata={"limits": {"pattern": f"^{WORD}$"}})


@frozen
class Syncing:
    """``base``: the channel or the number of the version that the new one is made of. ``files``: those alone; empty:
    all that are listed. ``channel``: it means the new version then. With ``dry_run`` none is made."""

    base: str = DEFAULT_CHANNEL
    files: tuple[str, ...] = ()
    channel: str = ""
    dry_run: bool = False


@frozen
class Keep:
    """``keep``: so many of the newest stay. With ``dry_run`` nothing is removed."""

    keep: int = field(default=3, metadata={"limits": {"minimum": 0, "maximum": _MOST}})
    dry_run: bool = False


@frozen
class Fate:
    """What became of a version: it ``goes``, or stays for ``reasons``."""

    version: str
    goes: bool
    reasons: tuple[str, ...]


@frozen
class Fates:
    """Of every version of an image."""

    versions: tuple[Fate, ...]


def every(call: Call[None, None]) -> ImageList:
    """List images, their versions and channels."""
    return ImageList(tuple(_shown(call, name) for name in call.desk.images.names()))


def one(call: Call[None, None]) -> ImageShown:
    """An image, its versions and channels."""
    return _shown(call, _name(call))


def remove(call: Call[Forced, None]) -> None:
    """Remove an image with all its versions; with ``force`` also one that nodes use, never one that one copies now."""
    images.remove(call.desk, (_name(call),), force=call.query.force)


def rename(call: Call[None, NewName]) -> ImageShown:
    """Give an image another name. Refused while a node uses it."""
    images.rename(call.desk, _name(call), call.body.name)
    return _shown(call, call.body.name)


def prune(call: Call[None, Keep]) -> Fates:
    """Remove the versions that nobody needs: all but the newest, and what nodes, channels or editors use."""
    if not 0 <= call.body.keep <= _MOST:
        raise BadInput(f"{call.body.keep} is not within 0 to {_MOST}", where="keep")
    used = users(call.desk.engine, call.desk.images)
    found = images.prune(call.desk, _name(call), call.body.keep, used, dry_run=call.body.dry_run)
    return Fates(tuple(Fate(each.ref, each.goes, each.reasons) for each in found))


def versions(call: Call[None, None]) -> VersionList:
    """Every version of an image, who uses it, and which channels mean it."""
    name, store = _name(call), call.desk.images
    used = users(call.desk.engine, store)
    found: list[VersionShown] = []
    damaged: list[int] = []
    for number in store.numbers(name):
        try:
            found.append(_version(call, store.version(name, number), used))
        except ImagedError:
            damaged.append(number)
    return VersionList(tuple(found), tuple(damaged))


def version(call: Call[None, None]) -> VersionShown:
    """A version, the facts about it, and who uses it."""
    found = call.desk.images.resolve(_ref(call))
    return _version(call, found, users(call.desk.engine, call.desk.images))


def remove_version(call: Call[Forced, None]) -> None:
    """Remove a version; with ``force`` also one that nodes use. Refused for one that a channel means."""
    images.remove(call.desk, (str(_ref(call)),), force=call.query.force)


def difference(call: Call[Between, None]) -> VersionDifference:
    """What one version of an image has added, changed and deleted since another."""
    name, store, query = _name(call), call.desk.images, call.query
    if not 0 <= query.limit <= _MOST:
        raise BadInput(f"{query.limit} is not within 0 to {_MOST}", where="limit")
    old, new = (store.resolve(_numbered(name, number)) for number in (query.old, query.new))
    found = changes.different(store.entries(old), store.entries(new)) if old != new else []
    kinds = [change for change, _, _ in found]
    return VersionDifference(
        old.ref,
        new.ref,
        {kind: kinds.count(kind) for kind in ("add", "change", "delete")},
        tuple(PathChange(shown(f"/{path}"), change, what) for change, path, what in found[: query.limit]),
    )


def channel(call: Call[None, None]) -> ChannelShown:
    """What a channel means."""
    return _channel(call)


def publish(call: Call[None, Meaning]) -> ChannelShown:
    """Let a channel mean a version from now on; a channel of a new name is made. No node is touched."""
    images.publish(call.desk, _numbered(_name(call), call.body.version), call.path["channel"])
    return _channel(call)


def roll_back(call: Call[None, None]) -> ChannelShown:
    """Let a channel mean what it meant before. No version is lost."""
    now = _channel(call)
    images.roll_back(call.desk, ImageRef(now.image, channel=now.channel))
    return _channel(call)


def sync(call: Call[None, Syncing]) -> Job:
    """Make a version with the server's own users, groups and listed files, if any of them is different in the image."""
    body = call.body
    ref = ImageRef.parse(f"{call.path['name']}@{body.base}")
    call.desk.images.resolve(ref)
    return syncfiles.begin(call.desk, ref, body.files, look=body.dry_run, channel=body.channel)


def _channel(call: Call[Any, Any]) -> ChannelShown:
    name, channel = _name(call), call.path["channel"]
    history = call.desk.images.histories(name).get(channel)
    if history is None:
        raise NotFound(f"image {name} has no channel {channel[:80]!r}")
    return ChannelShown(name, channel, history[0], history[1] if len(history) > 1 else None)


def _name(call: Call[Any, Any]) -> str:
    """Raises NotFound for an image that is not there."""
    name = call.path["name"]
    if name not in call.desk.images.names():
        raise NotFound(f"there is no image {name[:80]!r}", hint="/v1/images lists them.")
    return name


def _ref(call: Call[Any, Any]) -> ImageRef:
    text = call.path["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"{text[:40]!r} is not the number of a version")
    return _numbered(_name(call), int(text))


def _numbered(name: str, number: int) -> ImageRef:
    """Raises NotFound for what no version can be."""
    if number < 1:
        raise NotFound(f"image {name} has no version {number}")
    return ImageRef(name, version=number, channel="")


def _shown(call: Call[Any, Any], name: str) -> ImageShown:
    return ImageShown(name, call.desk.images.numbers(name), call.desk.images.channels(name))


def _version(call: Call[Any, Any], found: Version, used: dict[str, tuple[str, ...]]) -> VersionShown:
    channels = call.desk.images.channels(found.image).items()
    mine = tuple(channel for channel, number in channels if number == found.number)
    return VersionShown(found, mine, used.get(found.ref, ()))
