"""The image store as it lies on the disk: versions that are not whole, channels that mean nothing, leftovers."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from imaged.planning.doctor.finding import Finding, RemoveTree, Voice

_SAY = Voice("images")


@frozen
class Leftover:
    """A tree beside the versions. ``kind`` is ``build`` or ``removal`` (broken off), ``capture`` or ``edit`` (kept on
    purpose). ``held``: somebody works in it."""

    path: str
    kind: str
    held: bool = False


@frozen
class Image:
    """One image. ``damaged`` are versions with what is wrong, ``channels`` what each means (None: its file is no good).

    ``fault``: the image could not be looked at.
    """

    name: str
    numbers: tuple[int, ...] = ()
    damaged: Mapping[int, str] = field(factory=dict)
    channels: Mapping[str, int | None] = field(factory=dict)
    leftovers: tuple[Leftover, ...] = ()
    fault: str = ""


def findings(images: Sequence[Image], strange: Sequence[str]) -> Iterator[Finding]:
    """``strange`` are paths in the store that are none of ours."""
    faults = [each for image in images for each in _of_image(image)]
    yield from faults
    for path in strange:
        yield _SAY.note("is no image: nobody looks at it", path)
    count = sum(len(image.numbers) for image in images)
    if not images:
        yield _SAY.note("there are none yet", todo="`imaged buildimage RECIPE` makes one.")
    elif not any(each.mend is None and each.level.value in ("warning", "error") for each in faults):
        yield _SAY.ok(f"{count} versions of {len(images)} images")


def _of_image(image: Image) -> Iterator[Finding]:
    if image.fault:
        yield _SAY.error(image.fault, image.name)
    for number, why in image.damaged.items():
        todo = f"`imaged rmimage {image.name}@{number}` removes it; make the version again."
        yield _SAY.error(why, f"{image.name}@{number}", todo)
    for channel, meant in image.channels.items():
        what = "its file holds no number" if meant is None else f"it means version {meant}, which is not there"
        if meant is None or meant not in image.numbers:
            todo = f"`imaged publish {image.name}@N {channel}` lets it mean one that is."
            yield _SAY.error(what, f"{image.name}@{channel}", todo)
    for left in image.leftovers:
        yield from _left(image.name, left)


def _left(image: str, left: Leftover) -> Iterator[Finding]:
    if left.held:
        yield _SAY.note("somebody is at work in it", left.path)
    elif left.kind == "capture":
        yield _SAY.note("a capture was broken off: `imaged getimage` goes on with it", left.path)
    elif left.kind == "edit":
        yield _SAY.note(f"a copy is kept: `imaged enter {image}` goes on with it", left.path)
    else:
        what = f"a {left.kind} was broken off and left this behind"
        yield _SAY.warning(what, left.path, "The next one clears it.", RemoveTree(left.path, image))
