"""Files that the server keeps equal on nodes and in images: the site's lists, what is read here, versions with them."""

import grp
import hashlib
import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.admin.desk import Desk
from imaged.admin.jobs import Job, Running
from imaged.model.errors import BadInput, CommandFailed, Denied, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef, channel_name
from imaged.model.node import Node
from imaged.model.override import layer_names
from imaged.model.syncfile import Item, Synced, SyncFile
from imaged.planning import syncfiles
from imaged.planning.fixups.identity import MERGED
from imaged.planning.syncfiles import LIST, Lists
from imaged.store import yamlfile
from imaged.store.events import who
from imaged.store.nodeagent import node_agent

_LARGEST = 16 * 2**20  # bytes of all files of a node: they are in memory once for each node that is gone to


@frozen
class IntoImage:
    """What became of an image: ``made`` is its new version, None where nothing was different or was only looked at."""

    base: Version
    found: Synced
    made: Version | None = None


def lists(desk: Desk) -> Lists:
    """The site's own; none where it has none. Raises BadInput that names what is wrong, unknown groups among it."""
    path = desk.state.syncfiles
    found = syncfiles.read(yamlfile.load(path), LIST) if path.exists() else {}
    known = {
        "group": {group.name for group in desk.groups.all()},
        "node": {node.name for node in desk.nodes.all()},
        "image": set(desk.images.names()),
    }
    for layer in found:
        kind, _, name = layer.partition("/")
        if name and name not in known[kind]:
            raise BadInput(f"there is no {kind} {name!r}", where=f"{LIST}: {layer}")
    return found


def layers_of(desk: Desk, node: Node) -> tuple[str, ...]:
    """Whose lists are a node's."""
    return layer_names(node.image.image, desk.groups.of(node.name), node.name)


def paths_of(desk: Desk, node: Node) -> tuple[str, ...]:
    """What is kept equal on it. Raises as ``lists``."""
    return tuple(each.path for each in syncfiles.chosen(lists(desk), layers_of(desk, node)))


class Sources:
    """The server's own files, each read once."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, os.stat_result]] = {}

    def items(self, files: Sequence[SyncFile]) -> tuple[Item, ...]:
        """As they are sent. Raises NotFound, Denied, BadInput that name the file."""
        read = {each.path: self._of(each.source or each.path) for each in files}
        contents = syncfiles.people(files, {path: content for path, (content, _) in read.items()})
        if sum(map(len, contents.values())) > _LARGEST:
            hint = "Large files are for overrides, or for `imaged cpush`."
            raise BadInput(f"these are more than {_LARGEST >> 20} MiB in all", where=LIST, hint=hint)
        return tuple(_item(each, contents[each.path], read[each.path][1]) for each in files)

    def _of(self, path: str) -> tuple[bytes, os.stat_result]:
        if path not in self._read:
            self._read[path] = _read(path)
        return self._read[path]


def into_image(
    desk: Desk, ref: ImageRef, only: Sequence[str] = (), *, look: bool = False, channel: str = "", who: str = ""
) -> IntoImage:
    """Make a new version of an image with the files of its lists, if any of them is different there; ``channel`` means
    it then. ``look``: only tell. Raises ImagedError where a file cannot be put into it: there is no version then."""
    if os.geteuid() != 0:
        raise Denied("only root can make an image: its files belong to many users", hint="Run it with sudo.")
    base, images = desk.images.resolve(ref), desk.images
    wanted = channel_name(channel) if channel else ""
    files = syncfiles.chosen(lists(desk), ("all", f"image/{base.image}"), only)
    items = Sources().items(files)
    users = frozenset(each.path for each in items if each.merge)
    found = _ask(images.tree(base), syncfiles.question(items, users), look=True)
    _refuse_failed(base, found)
    if look or not syncfiles.differs(found):
        return IntoImage(base, found)
    with images.working(base.image, copy_of=base) as working:
        found = _ask(working.tree, syncfiles.question(items, {each.path for each in items}), look=False)
        _refuse_failed(base, found)
        made = images.seal(working, origin=f"syncfiles of {base.ref}{f' by {who}' if who else ''}", base=base)
    if wanted:
        images.publish(made, wanted)
    return IntoImage(base, found, made)


def begin(desk: Desk, ref: ImageRef, only: Sequence[str], *, look: bool, channel: str) -> Job:
    """``into_image``, which nobody waits for. Raises BadInput."""
    for path in only:
        syncfiles.check_path(path, "files")
    if channel:
        channel_name(channel)

    def act(running: Running) -> None:
        done = into_image(desk, ref, only, look=look, channel=channel, who=who())
        for line in syncfiles.report(done.found, look=done.made is None):
            running.say(str(ref), line)
        running.say(str(ref), f"{done.made.ref} was made" if done.made else "no version was made")

    return desk.jobs.begin("syncfiles", str(ref), act)


def _ask(tree: Path, question: bytes, *, look: bool) -> Synced:
    """The node's own agent, on a tree of ours: one way of doing it, wherever it is done."""
    with tempfile.NamedTemporaryFile(prefix="imaged-", suffix=".pyz") as agent:
        agent.write(node_agent())
        agent.flush()
        argv = (sys.executable, "-I", agent.name, "syncfiles", *(("--dry-run",) if look else ()), "--root", str(tree))
        done = process.run(argv, stdin=question.decode("ascii"), check=False)
    try:
        return syncfiles.answer(done.output)
    except BadInput:
        raise CommandFailed(f"the agent ended with {done.code}", where=str(tree), hint=done.errors.strip()) from None


def _refuse_failed(base: Version, found: Synced) -> None:
    if syncfiles.failed(found):
        faults = [f"{each.path}: {each.message}" for each in found.files if each.action == "failed"]
        raise ImagedError("\n  ".join(faults), where=base.ref, hint="No version was made.")


def _read(path: str) -> tuple[bytes, os.stat_result]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a fifo holds nobody up
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadInput("is no file", where=path, hint="Directories are for overrides, or for `imaged cpush`.")
            return file.read(_LARGEST + 1), status
    except FileNotFoundError:
        raise NotFound("is not on this server", where=path) from None
    except PermissionError:
        raise Denied("cannot be read", where=path, hint="Run it as root.") from None
    except OSError as error:
        raise ImagedError(f"cannot be read: {error.strerror}", where=path) from None


def _item(each: SyncFile, content: bytes, status: os.stat_result) -> Item:
    user, _, group = each.owner.partition(":")
    return Item(
        each.path,
        hashlib.sha256(content).hexdigest(),
        user or _user(status.st_uid),
        group or _group(status.st_gid),
        each.mode or f"{stat.S_IMODE(status.st_mode):04o}",
        each.path in MERGED,
        each.then,
        content,
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
