"""Nodes: their definitions, what is known of them, what an install would do."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from attrs import field, fields, frozen

from imaged.admin import nodes, ranges, showing, syncfiles
from imaged.admin.groups import set_host
from imaged.admin.nodes import NewNode, NodeChanges
from imaged.daemon.api.route import Call
from imaged.model.codec import from_json
from imaged.model.errors import BadInput, NotFound
from imaged.model.hardware import Inventory
from imaged.model.host import Host
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeState
from imaged.model.outcome import Drift, Updated
from imaged.model.plan import InstallPlan
from imaged.model.report import Report
from imaged.planning.explained import Explained
from imaged.planning.install import plan_hash
from imaged.planning.leftovers import leftovers
from imaged.planning.show import plan_text, presentable
from imaged.planning.states import KINDS, in_order
from imaged.store.keys import Keys
from imaged.store.stateruns import StateRuns

_PAGE = {"limits": {"minimum": 1, "maximum": 10_000}}
_KINDS = ("pre-install", "post-install", "post-update")


@frozen
class NodeQuery:
    """``nodes``: a range such as ``node[01-64]!node17,@rack1``. ``after``: the name that ended the page before."""

    nodes: str = ranges.EVERYONE
    state: NodeState | None = None
    after: str = ""
    limit: int = field(default=500, metadata=_PAGE)


@frozen
class Ranged:
    """``nodes``: a range such as ``node[01-64]!node17,@rack1``."""

    nodes: str


@frozen
class NodeShown:
    """A node: what holds for it, wherever that was said, and where it is in its life.

    ``groups``: the one that wins is last. ``image`` is empty where nobody said one.
    """

    name: str
    macs: tuple[Mac, ...]
    image: ImageRef
    layout: str
    uuid: str
    address: IPv4Address | None
    console: str
    action: BootAction
    state: NodeState
    reason: str
    secure_boot: bool | None
    variables: dict[str, str]
    groups: tuple[str, ...]


@frozen
class NodePage:
    """Nodes by name. ``next``: ask for those ``after`` it; null: that is all. ``total`` counts all pages."""

    nodes: tuple[NodeShown, ...]
    total: int
    next: str | None = None


@frozen
class SyncedPaths:
    """Files that are the server's to say."""

    paths: tuple[str, ...]


@frozen
class Names:
    """Names of nodes."""

    names: tuple[str, ...]


@frozen
class NodeFacts:
    """What is known of a node beside its definition. Versions are exact (``compute@3``), times since the epoch.

    ``serial`` names the last update that was carried out whole, ``updated`` is how the last one ended.
    """

    installing: str | None
    installed: str | None
    updating: str | None
    serial: str | None
    plan_hash: str | None
    last_seen: float | None
    updated: Updated | None
    updated_at: float | None
    drift: Drift | None
    drift_at: float | None


@frozen
class ExplainedValues:
    """In the order in which people read it."""

    values: tuple[Explained, ...]


@frozen
class Replacement:
    """The machine that takes a node's place; with ``disks_moved`` it is not installed."""

    macs: tuple[Mac, ...]
    uuid: str = ""
    disks_moved: bool = False


@frozen
class PlanShown:
    """What an install would do, for programs and as text. ``hash`` is what `boot` takes to allow this plan only."""

    hash: str
    text: str
    plan: InstallPlan


@frozen
class LogQuery:
    """``lines``: so many at most, the last ones. ``console``: what its kernel said instead."""

    lines: int = field(default=1000, metadata={"limits": {"minimum": 1, "maximum": 1_000_000}})
    console: bool = False


@frozen
class ReportAt:
    """A report and when it came, in seconds since the epoch."""

    time: float
    report: Report


@frozen
class Reports:
    """Of the last install or update, oldest first."""

    reports: tuple[ReportAt, ...]


@frozen
class OverridePath:
    """A path of a node's overrides, the layer that it comes from, and those that lost."""

    path: str
    layer: str
    source: str
    over: tuple[str, ...]


@frozen
class OverridesShown:
    """What lies over the image. ``clashes`` are sentences."""

    paths: tuple[OverridePath, ...]
    clashes: tuple[str, ...]


@frozen
class ScriptShown:
    """A script that runs on a node ``when`` (``post-install``), and for which of its classes."""

    when: str
    name: str
    layer: str


@frozen
class RunShown:
    """How the scripts of a state went when the node came to it. ``code``: their exit code on the node; null: not heard.

    ``trouble``: what did not go well, in a line.
    """

    state: str
    time: float
    code: int | None
    trouble: str


@frozen
class Scripts:
    """In the order in which they run; and how those of its states went the last time."""

    scripts: tuple[ScriptShown, ...]
    runs: tuple[RunShown, ...]


@frozen
class KeyShown:
    """That there is a key, and since when. The key itself is told by `imaged lskey` on the server alone."""

    device: str
    created: float


@frozen
class KeysShown:
    """Of a node's encrypted devices."""

    keys: tuple[KeyShown, ...]


def every(call: Call[NodeQuery, None]) -> NodePage:
    """List nodes, by name, page by page."""
    query = call.query
    if not 1 <= query.limit <= _PAGE["limits"]["maximum"]:
        raise BadInput(f"{query.limit} is not within 1 to {_PAGE['limits']['maximum']}", where="limit")
    store, wanted = call.desk.nodes, set(ranges.names(call.desk, (query.nodes,)))
    store.named(sorted(wanted.difference(store.names()))[:1])  # a name that is no node's is told by it
    found = sorted(wanted.intersection(store.names(query.state)))
    page = [name for name in found if name > query.after][: query.limit]
    more = page[-1] if page and page[-1] != found[-1] else None
    return NodePage(tuple(shown(node) for node in store.named(page)), len(found), more)


def add(call: Call[None, NewNode]) -> NodeShown:
    """Define a node."""
    return shown(nodes.add(call.desk, call.body))


def change_many(call: Call[Ranged, NodeChanges]) -> Names:
    """Change nodes: all of them, or none where something is wrong. Their names.

    Nothing happens on the nodes: their next install or update carries it there.
    """
    return Names(tuple(node.name for node in nodes.change(call.desk, (call.query.nodes,), call.body)))


def remove_many(call: Call[Ranged, None]) -> Names:
    """Forget nodes: all of them, or none. Their disks stay as they are."""
    return Names(nodes.remove(call.desk, (call.query.nodes,)))


def one(call: Call[None, None]) -> NodeShown:
    """A node's definition and state."""
    return shown(the_node(call))


def change(call: Call[None, NodeChanges]) -> NodeShown:
    """Change a node."""
    (node,) = nodes.change(call.desk, (the_node(call).name,), call.body)
    return shown(node)


def remove(call: Call[None, None]) -> None:
    """Forget a node: its definition, reports and secrets. Its disks stay as they are."""
    nodes.remove(call.desk, (the_node(call).name,))


def replace(call: Call[None, Replacement]) -> NodeShown:
    """Let another machine take the node's place; its next network boot installs it."""
    body = call.body
    node = nodes.replace(call.desk, the_node(call).name, body.macs, body.uuid, disks_moved=body.disks_moved)
    return shown(node)


def facts(call: Call[None, None]) -> NodeFacts:
    """What is known of a node: what is on its disks, how its last update ended, when it was last heard of."""
    found = call.desk.nodes.facts(the_node(call).name)
    kinds: dict[str, type[Any]] = {"updated": Updated, "drift": Drift}
    told = {key: from_json(found[key], kind) if found[key] else None for key, kind in kinds.items()}
    return NodeFacts(**{each.name: found[each.name] for each in fields(NodeFacts) if each.name not in told}, **told)


def explained(call: Call[None, None]) -> ExplainedValues:
    """What holds for the node, thing by thing, and where each was said: of itself, of a group, in the settings."""
    return ExplainedValues(showing.values(call.desk, the_node(call).name))


def inventory(call: Call[None, None]) -> Inventory:
    """The node's hardware, as the agent last found it."""
    found = call.desk.nodes.inventory(the_node(call).name)
    if found is None:
        raise NotFound("its hardware is not known yet", hint="It is reported at the node's first install.")
    return found


def plan(call: Call[None, None]) -> PlanShown:
    """What an install of the node would do on the hardware that it last reported. Touches nothing."""
    node, hardware = the_node(call), inventory(call)
    made = call.provisioning.plan(node, hardware)
    digest = plan_hash(made)
    text = plan_text(made, digest, leftovers(call.provisioning.facts_of(made), made))
    return PlanShown(digest, text, presentable(made))


def log(call: Call[LogQuery, None]) -> str:
    """The end of the node's log: every step, every command and what it said."""
    if call.query.lines < 1:
        raise BadInput("is not a number of lines", where="lines")
    path: Path = call.desk.state.logs / f"{the_node(call).name}.{'console' if call.query.console else 'log'}"
    try:
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-call.query.lines :]) + "\n"
    except FileNotFoundError:
        raise NotFound("has no log yet", hint="It begins with its first install.") from None


def reports(call: Call[None, None]) -> Reports:
    """What the node reported of its last install or update."""
    return Reports(tuple(ReportAt(when, report) for when, report in call.desk.nodes.reports(the_node(call).name)))


def host(call: Call[None, None]) -> Host:
    """What was said of how the node's own system is set up; its groups' are not in it."""
    return call.desk.hosts.node(the_node(call).name)


def put_host(call: Call[None, Host]) -> Host:
    """Say how the node's own system is set up, instead of what was said before."""
    return set_host(call.desk, the_node(call).name, call.body, clear=True)


def change_host(call: Call[None, Host]) -> Host:
    """Say more of how the node's own system is set up: what is not said stays."""
    return set_host(call.desk, the_node(call).name, call.body)


def overrides(call: Call[None, None]) -> OverridesShown:
    """The node's overrides: each path and the layer that it comes from."""
    node = the_node(call)
    merged = call.provisioning.merged_overrides(node, call.desk.images.resolve(node.image))
    paths = tuple(
        OverridePath(f"/{each.path}", each.layer, each.source, each.over) for each in merged.paths if not each.directory
    )
    return OverridesShown(paths, tuple(map(str, merged.clashes)))


def scripts(call: Call[None, None]) -> Scripts:
    """The scripts that run on the node, and for which of its classes each one does."""
    node = the_node(call)
    words = in_order(call.provisioning.overrides.script_names(KINDS))
    kinds = (*_KINDS, *(f"{KINDS}/{word}" for word in words))
    found = ((kind, each) for kind in kinds for each in call.provisioning.scripts(node, kind))
    shown = tuple(ScriptShown(kind, each.name, each.layer) for kind, each in found)
    runs = StateRuns(call.desk.engine).of(node.name)  # their texts may hold secrets
    return Scripts(shown, tuple(RunShown(each.state, each.time, each.code, each.trouble) for each in runs))


def synced(call: Call[None, None]) -> SyncedPaths:
    """The files that the server keeps equal on the node, which `imaged syncfiles` brings there."""
    return SyncedPaths(syncfiles.paths_of(call.desk, the_node(call)))


def keys(call: Call[None, None]) -> KeysShown:
    """Which keys of encrypted devices are kept; also of a node that was forgotten. No key is told."""
    found = Keys(call.desk.engine).all(call.path["name"])
    return KeysShown(tuple(KeyShown(each.device, each.created) for each in found))


def the_node(call: Call[Any, Any]) -> Node:
    """The one that the path names. Raises NotFound."""
    return call.desk.nodes.get(call.path["name"])


def shown(node: Node) -> NodeShown:
    """The node for people and programs."""
    return NodeShown(
        node.name, node.macs, node.image, node.layout, node.uuid, node.address, node.console, node.action, node.state,
        node.reason, node.secure_boot, node.variables, node.groups,
    )  # fmt: skip
