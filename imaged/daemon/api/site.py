"""What is of the server as a whole: events, layouts, other programs' files, tokens, who asks."""

from attrs import field, frozen

from imaged.admin import exporting, importing, ranges
from imaged.daemon.api.nodes import Ranged
from imaged.daemon.api.route import Call, Stream
from imaged.model.errors import BadInput, NotFound
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.node import BootAction
from imaged.planning.course import Course, Standing
from imaged.planning.following import Bookmark
from imaged.planning.roster.entries import Roster, merged
from imaged.planning.roster.ours import of_plain
from imaged.planning.roster.read import Form, read
from imaged.planning.states import KINDS, in_order
from imaged.store import layouts, yamlfile
from imaged.store.events import Event, Events

_MOST = 10_000


@frozen
class CourseQuery:
    """``nodes``: a range; empty: all of them, and machines that SystemImager installs. ``standing``: only those."""

    nodes: str = ""
    standing: Standing | None = None


@frozen
class Courses:
    """By name."""

    nodes: tuple[Course, ...]


@frozen
class EventQuery:
    """``subject``: the name of a node, group or token, empty for all. ``limit``: so many at most, the latest."""

    subject: str = ""
    limit: int = field(default=100, metadata={"limits": {"minimum": 1, "maximum": _MOST}})


@frozen
class EventList:
    """Oldest first."""

    events: tuple[Event, ...]


@frozen
class StreamQuery:
    """``after``: the id of the last message that was heard (or the header `Last-Event-ID`); empty: from now on."""

    after: str = ""
    reports: bool = True


@frozen
class LayoutNames:
    """The site's own, and those that come with imaged."""

    names: tuple[str, ...]


@frozen
class StateNames:
    """Those that nodes come to by themselves in the order of their lives, then the others."""

    states: tuple[str, ...]


@frozen
class RosterFile:
    """A file of another program: its text, and what it is (``yaml``: as `imaged export` writes it)."""

    text: str
    form: str = "auto"
    name: str = "file"


@frozen
class ImportWanted:
    """Files that are put together by the names of nodes. ``image`` and ``layout``: where no file tells one; empty: as
    their groups say."""

    files: tuple[RosterFile, ...]
    image: ImageRef = NO_IMAGE
    layout: str = ""
    action: BootAction = BootAction.LOCAL
    dry_run: bool = False


@frozen
class Imported:
    """Names of what was defined, or would be. ``left_out`` has no MAC, ``there`` was there already."""

    nodes: tuple[str, ...]
    groups: tuple[str, ...]
    left_out: tuple[str, ...]
    there: tuple[str, ...]
    notes: tuple[str, ...]


def courses(call: Call[CourseQuery, None]) -> Courses:
    """How nodes do now: where they are on their way, how fast, how long it will take, and what is wrong."""
    query = call.query
    wanted = {node.name for node in ranges.named(call.desk, (query.nodes,))} if query.nodes else None
    return Courses(
        tuple(
            each
            for each in call.desk.monitor.look(call.now)
            if (wanted is None or each.node in wanted) and query.standing in (None, each.standing)
        )
    )


def events(call: Call[EventQuery, None]) -> EventList:
    """What was changed, when, by whom, and from what to what."""
    query = call.query
    if not 1 <= query.limit <= _MOST:
        raise BadInput(f"{query.limit} is not within 1 to {_MOST}", where="limit")
    return EventList(Events(call.desk.engine).last(query.limit, (query.subject,) if query.subject else ()))


def stream(call: Call[StreamQuery, None]) -> Stream:
    """Everything that changes from now on, as server-sent events, until you hang up.

    Messages are of the types ``event`` (a change) and ``report`` (a line of a node's install or update). Each has an
    id: a listener that was cut off goes on there, by the header `Last-Event-ID` or by ``after``. Comments say that the
    line still stands.
    """
    after = call.headers.get("last-event-id") or call.query.after
    return Stream(str(Bookmark.parse(after)) if after else "", call.query.reports)


def layout_names(call: Call[None, None]) -> LayoutNames:
    """List disk layouts."""
    return LayoutNames(layouts.names(call.desk.state.layouts))


def layout(call: Call[None, None]) -> str:
    """A disk layout, as its file has it (YAML)."""
    root, name = call.desk.state.layouts, call.path["name"]
    if name not in layouts.names(root):
        raise NotFound(f"there is no layout {name[:80]!r}", hint="/v1/layouts lists them.")
    return layouts.path_of(root, name).read_text("utf-8", "replace")


def states(call: Call[None, None]) -> StateNames:
    """List the states that have scripts; `/v1/nodes/{name}/scripts` tells which of them run for a node, and how."""
    return StateNames(in_order(call.provisioning.overrides.script_names(KINDS)))


def export(call: Call[Ranged, None]) -> str:
    """Nodes as another program's file.

    Forms are csv, yaml, hosts, ethers, zone, reverse-zone, isc, kea and dnsmasq.
    """
    return exporting.text(call.desk, call.path["form"], call.query.nodes)[0]


def import_nodes(call: Call[None, ImportWanted]) -> Imported:
    """Define the nodes and groups of other programs' files: all of them, or nothing."""
    body = call.body
    roster = merged(_read(each) for each in body.files)
    prepared = importing.prepare(call.desk, roster, body.image, body.layout)
    if not body.dry_run:
        importing.define(call.desk, prepared, body.action)
    return Imported(
        tuple(node.name for node in prepared.nodes),
        tuple(group.name for group in prepared.groups),
        prepared.without,
        prepared.there,
        tuple(f"line {line}: {what}" if line else what for line, what in roster.notes),
    )


def _read(file: RosterFile) -> Roster:
    if file.form == "yaml":
        return of_plain(yamlfile.parse(file.text, where=file.name))
    try:
        form = Form(file.form)
    except ValueError:
        hint = f"There are {', '.join(('yaml', *(each.value for each in Form)))}."
        raise BadInput(f"{file.form[:40]!r} is no form of a file", where=file.name, hint=hint) from None
    return read(file.text, form, file.name)
