"""What the server does for running nodes, without HTTP: are they in step, and if not, what brings them there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import evolve

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, Denied
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.node import Node, NodeState
from imaged.model.outcome import Drift, Outcome, Updated
from imaged.model.report import Report
from imaged.model.system import System
from imaged.model.transfer import Module
from imaged.model.update import UpdatePlan
from imaged.planning.install import Site
from imaged.planning.standing import Over, planned
from imaged.planning.tally import Tally
from imaged.planning.touched import recorded
from imaged.planning.update import Layers, plan_update
from imaged.store.deltas import Deltas, Manifest, Served
from imaged.store.images import Images
from imaged.store.nodes import Holder, Nodes

RUNNING: Final = frozenset((NodeState.INSTALLED, NodeState.READY))
_NO_DRIFT: Final[dict[str, Any]] = dict.fromkeys(("drift", "drift_count", "drift_at"))
NEVER_UPDATED: Final[dict[str, Any]] = _NO_DRIFT | dict.fromkeys(
    ("updating", "serial", "planned", "updated", "updated_at")
)
_SHOWN: Final = 200  # differences of a drift that are kept; their number is known in any case
_MOST_KNOWN: Final = 65536  # serials; more than there are nodes


class LayerSource(Protocol):
    """What lies over an image: overrides, protected paths, scripts."""

    def generation(self, node: str, image: str) -> Over:
        """Equal as long as nothing has changed for this node. Part of its every question: no walk through trees."""

    def layers(self, node: Node, version: Version) -> Layers:
        """What lies over ``version`` on ``node``, rendered."""

    def path(self, node: Node) -> Path | None:
        """The rendered overrides of ``node`` for rsync; None: there are none."""


class NoLayers:
    """The image and nothing else."""

    def generation(self, node: str, image: str) -> Over:
        """Never changes."""
        return (), (), ""

    def layers(self, node: Node, version: Version) -> Layers:
        """Nothing."""
        return Layers()

    def path(self, node: Node) -> Path | None:
        """Nothing."""
        return None


class Updates:
    """Updates of one server's nodes. ``clock`` gives seconds since the epoch.

    Methods that take a secret or touch trees may be called in threads; what they share is replaced, never changed.
    """

    def __init__(
        self,
        nodes: Nodes,
        images: Images,
        deltas: Deltas,
        layers: LayerSource,
        *,
        site_of: Callable[[Node], Site],
        tally: Tally,
        rsync_port: int,
        clock: Callable[[], float],
    ) -> None:
        self._nodes = nodes
        self._images = images
        self._deltas = deltas
        self._layers = layers
        self._site_of = site_of
        self._tally = tally
        self._rsync_port = rsync_port
        self._clock = clock
        self._known: dict[tuple[str, int | None], tuple[object, str]] = {}

    def in_step(self, secret: str, serial: str, to: int | None = None) -> bool:
        """Whether the node is known to be at ``serial``: one small question to the database, no plan. Raises Denied.

        False says only that a plan must be made to know.
        """
        holder = self._nodes.holder(secret)
        return bool(serial) and self._known.get((holder.name, to)) == (self._inputs(holder, to), serial)

    def answer_plan(self, secret: str, serial: str, to: int | None = None, *, look: bool = False) -> UpdatePlan | None:
        """What brings the node into step, and what it may read from now on; None when ``serial`` is that already.

        With ``look`` nothing follows from the question: the node will only compare, and needs no contents for that.
        Raises Denied, NotFound, CannotPlan, and Conflict for a node that does not run.
        """
        holder = self._nodes.holder(secret)
        inputs = self._inputs(holder, to)  # taken first: what changes meanwhile makes the next question another
        node, layers = self._nodes.get(holder.name), self._layers.generation(holder.name, holder.image.image)
        plan = self.plan(node, to)
        if len(self._known) >= _MOST_KNOWN:
            self._known = {}
        self._known[holder.name, to] = (inputs, plan.serial)
        self._remember(node, plan, layers)
        if plan.serial == serial:
            return None
        if not look:
            self._begin(holder.name, plan, holder.updating)
        return plan

    def begin(self, name: str, to: int | None = None) -> UpdatePlan:
        """As ``answer_plan``, for an update that the server itself drives, of whatever serial the node is."""
        node = self._nodes.get(name)
        layers = self._layers.generation(name, node.image.image)
        plan = self.plan(node, to)
        self._remember(node, plan, layers)
        self._begin(name, plan, None)
        return plan

    def _remember(self, node: Node, plan: UpdatePlan, layers: Over) -> None:
        """What the plan was made from, for those who only want to know whether it still holds."""
        given = str(planned(plan.serial, node, self._nodes.fact(node.name, "plan_hash"), layers))
        if self._nodes.fact(node.name, "planned") != given:
            self._nodes.keep(node.name, planned=given)

    def _begin(self, name: str, plan: UpdatePlan, updating: str | None) -> None:
        own = recorded(each.step for each in plan.fixups)
        if updating != plan.image or self._nodes.fact(name, "touched") != own:
            self._nodes.keep(name, updating=plan.image, touched=own)
        self._nodes.clear_reports(name)  # the log starts empty with each update

    def plan(self, node: Node, to: int | None = None) -> UpdatePlan:
        """The plan that would be given; nothing is stored. Raises as ``answer_plan``."""
        facts = self._nodes.facts(node.name)
        inventory = self._nodes.inventory(node.name)
        if node.state not in RUNNING:
            raise Conflict(f"{node.name} is {node.state.value}", hint="Only a node that was installed is updated.")
        if not facts["system"] or inventory is None:
            raise Conflict(
                f"what was planned for the disks of {node.name} is not known",
                hint="It was installed by an older release. Install it once more.",
            )
        version = self._images.resolve(_wanted(node.image, to))
        system = from_json(facts["system"], System, where=f"system of {node.name}")
        layers = self._layers.layers(node, version)
        return plan_update(node, version, system, inventory, self._site_of(node), layers, self._rsync_port)

    def manifest(self, name: str, image: str, number: int, basis: str, *, compressed: bool) -> Served:
        """A version's manifest for node ``name``: its own image's only, or that of the update under way.

        ``basis``: sha256 of the one it has, or empty. Raises Denied and NotFound.
        """
        updating = self._nodes.fact(name, "updating")
        if image not in (self._nodes.get(name).image.image, ImageRef.parse(updating).image if updating else ""):
            raise Denied(f"{image} is not the image of {name}")
        version = self._images.resolve(ImageRef(image, version=number, channel=""))
        known = self._images.versions(image) if basis and basis != version.manifest_sha256 else ()
        old = next((each for each in known if each.manifest_sha256 == basis), None)
        return self._deltas.find(self._file(version), self._file(old) if old else None, compressed=compressed)

    def modules(self, node: Node) -> tuple[Module, ...]:
        """What ``node`` may read beside its image."""
        path = self._layers.path(node)
        return (Module("overrides", path),) if path else ()

    def concerns(self, name: str) -> bool:
        """Whether a report of this node is about an update: it runs, so nothing is being installed."""
        return self._nodes.get(name).state in RUNNING

    def record_report(self, name: str, report: Report) -> None:
        """Keep it."""
        self._nodes.add_report(name, self._clock(), report)

    def record_updated(self, name: str, updated: Updated) -> None:
        """An update has ended: nothing more to read. Raises Conflict for a version that was not this node's to fetch.

        A failure leaves the node what it is: it runs, and its disks hold the old version or a mix, which the next
        update repairs.
        """
        facts = self._nodes.facts(name)
        ref, node = ImageRef.parse(updated.image), self._nodes.get(name)
        if node.state not in RUNNING:
            raise Conflict(f"{name} is {node.state.value}: no update can end there", where=name)
        if updated.image != facts["updating"] and (ref.image != node.image.image or ref.version is None):
            raise Conflict(f"{updated.image} was not an update of {name}", where=name)
        now = self._clock()
        values: dict[str, Any] = {"updating": None, "updated": to_json(updated), "updated_at": now, "last_seen": now}
        if updated.outcome is Outcome.DONE:
            values |= {"installed": updated.image, "serial": updated.serial, **_NO_DRIFT}
        self._nodes.keep(name, told="update of a node", **values)
        self._tally.updated(updated.outcome)

    def record_drift(self, name: str, drift: Drift) -> None:
        """What a node found different; the first differences are kept. Raises BadInput for a count that is none."""
        if drift.count < len(drift.differences):
            raise BadInput(f"a count of {drift.count} with {len(drift.differences)} differences", where="count")
        now = self._clock()
        kept = evolve(drift, differences=drift.differences[:_SHOWN])
        values = {"drift": to_json(kept), "drift_count": drift.count, "drift_at": now, "last_seen": now}
        self._nodes.keep(name, told="drift of a node", **values)

    def _file(self, version: Version) -> Manifest:
        return Manifest(self._images.manifest(version), version.manifest_sha256)

    def _inputs(self, holder: Holder, to: int | None) -> object:
        layers = self._layers.generation(holder.name, holder.image.image)
        return holder.facts, self._published(_wanted(holder.image, to)), layers

    def _published(self, ref: ImageRef) -> object:
        """Changes when the channel moves, or when the version goes away: both are files (see ``store.images``)."""
        home = self._images.root / ref.image
        path = home / str(ref.version) / "version.json" if ref.version else home / "channels" / ref.channel
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def _wanted(image: ImageRef, to: int | None) -> ImageRef:
    return ImageRef(image.image, version=to, channel="") if to else image
