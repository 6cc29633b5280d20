"""Pages of images, their versions and channels, and of disk layouts."""

from functools import lru_cache
from pathlib import Path

from imaged.admin import images, ranges
from imaged.daemon.pages.visit import Page, See, Visit
from imaged.model.errors import Conflict, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef, channel_name, image_name
from imaged.planning.layout import read as read_layout
from imaged.store import changes, layouts, yamlfile
from imaged.store.shown import shown
from imaged.web import images as view


def every(visit: Visit) -> Page:
    """All images."""
    store = visit.desk.images
    found = [(name, store.numbers(name), _newest(visit, name), store.channels(name)) for name in store.names()]
    return Page("images", view.listing(found, _users(visit)))


def one(visit: Visit) -> Page:
    """An image and its versions."""
    name, store = _name(visit), visit.desk.images
    found: list[tuple[int, Version | str]] = []
    for number in store.numbers(name):
        try:
            found.append((number, store.version(name, number)))
        except ImagedError as error:
            found.append((number, str(error)))
    return Page("image", view.versions(name, found, store.histories(name), _users(visit), ranges.folded))


def difference(visit: Visit) -> Page:
    """What is different between two versions."""
    name, store, query = _name(visit), visit.desk.images, visit.query
    old, new = (store.resolve(_numbered(name, query.number(key))) for key in ("old", "new"))
    found = changes.different(store.entries(old), store.entries(new)) if old != new else []
    listed = [(kind, shown(path), what) for kind, path, what in found]
    return Page("diff", view.difference(name, old.number, new.number, listed, query.text("below")))


def ask_publish(visit: Visit) -> Page:
    """Whether a channel shall mean another version."""
    name, query, store = _name(visit), visit.query, visit.desk.images
    channel, back = channel_name(query.text("channel")), query.text("back")
    history = store.histories(name).get(channel, ())
    number = history[1] if back and len(history) > 1 else query.number("version")
    version = store.resolve(_numbered(name, number))
    follow = str(ImageRef(name, channel=channel))
    followers = sum(life.image == follow for life in visit.glance().lives.values())
    before = history[0] if history else 0
    shown = {"name": name, "channel": channel, "version": version.number, "before": before, "nodes": followers}
    return Page("publish", {**shown, "back": bool(back)})


def publish(visit: Visit) -> See:
    """Let a channel mean another version. Raises Conflict when it has moved since it was asked."""
    name, form = _name(visit), visit.form
    channel, number = channel_name(form.text("channel")), form.number("version")
    now = visit.desk.images.channels(name).get(channel, 0)
    if now != form.number("before"):
        raise Conflict(f"{name}@{channel} means version {now} by now", hint="Somebody else has moved it. Look again.")
    if form.text("back"):
        number = images.roll_back(visit.desk, ImageRef(name, channel=channel)).version.number
    else:
        images.publish(visit.desk, _numbered(name, number), channel)
    return See(f"/images/{name}", f"{name}@{channel} means version {number}.")


def layout(visit: Visit) -> Page:
    """A disk layout, as its file has it, and what is wrong with it."""
    name = visit.names["name"]
    path = layouts.path_of(visit.desk.state.layouts, name)
    text, problem = path.read_text("utf-8", "replace"), layout_problem(visit, name)
    return Page("layout", {"name": name, "path": str(path), "text": text, "problem": problem})


def layout_problem(visit: Visit, name: str) -> str:
    """Why nobody can be installed by it; empty: nothing is wrong."""
    try:
        path = layouts.path_of(visit.desk.state.layouts, name)
        return _fault(path, path.stat().st_mtime_ns, name)
    except (ImagedError, OSError) as error:
        return str(error)


@lru_cache(maxsize=256)
def _fault(path: Path, _changed: int, name: str) -> str:
    try:
        read_layout(yamlfile.load(path), name)
    except ImagedError as error:
        return str(error)
    return ""


def _users(visit: Visit) -> view.Users:
    lives = visit.glance().lives.values()
    named = {life.image for life in lives}
    return view.users(lives, {image: visit.meant(ImageRef.parse(image)) for image in named if image})


def _newest(visit: Visit, name: str) -> Version | None:
    store = visit.desk.images
    try:
        return store.version(name, store.numbers(name)[-1])
    except ImagedError:
        return None


def _name(visit: Visit) -> str:
    name = image_name(visit.names["name"])
    if not visit.desk.images.numbers(name):
        raise NotFound(f"there is no image {name!r}")
    return name


def _numbered(name: str, number: int) -> ImageRef:
    if number < 1:
        raise NotFound(f"image {name} has no version {number}")
    return ImageRef(name, version=number, channel="")
