"""What the server does for a node on its way to ready, without HTTP: stores asked, planning called, results stored."""

from collections.abc import Callable, Collection
from pathlib import Path

import sqlalchemy as sa

from imaged.daemon.layers import SiteLayers
from imaged.daemon.updates import NEVER_UPDATED, RUNNING, Updates
from imaged.model.codec import from_json, to_json
from imaged.model.errors import Conflict, Denied, NotFound
from imaged.model.hardware import Inventory
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.override import Merged
from imaged.model.plan import InstallPlan
from imaged.model.report import Claim, Claimed, PlanAnswer, Report, Status
from imaged.model.settings import Settings
from imaged.model.system import System
from imaged.model.transfer import Grant, Module
from imaged.planning.delta import delta
from imaged.planning.install import Site, plan_hash, plan_with_system
from imaged.planning.layout import read as read_layout
from imaged.planning.script import install_arguments
from imaged.planning.update import PHASES
from imaged.store import layouts
from imaged.store.database import open_database
from imaged.store.deltas import Deltas
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.keys import Keys
from imaged.store.nodes import Holder, Nodes
from imaged.store.overrides import Overrides
from imaged.store.paths import State
from imaged.store.site import site_uuid
from imaged.store.templates import Templates
from imaged.store.tokens import Tokens

SCRIPTS_DIR = "autoinstall_scripts"  # the site's own, below the state directory


class Provisioning:
    """The stores of one server and what may be done with them for a node. ``clock`` gives seconds since the epoch."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self.fetching: Callable[[], Collection[str]] = tuple  # nodes with an rsync connection: the daemon's to say
        self._state = State(Path(settings.state))
        self.engine: sa.Engine = open_database(self._state.database)
        self.nodes = Nodes(self.engine)
        self.images = Images(self._state.images)
        self._tokens = Tokens(self.engine)
        self._keys = Keys(self.engine)
        self._templates = Templates(self._state.root / SCRIPTS_DIR)
        self._site = site_uuid(self.engine)
        self.overrides = Overrides(self._state, in_use=self._is_fetching)
        self._layers = SiteLayers(self.overrides, Groups(self.engine), self.images, self._site_of)
        self.updates = Updates(
            self.nodes,
            self.images,
            Deltas(self._state.run / "deltas", delta),
            self._layers,
            site_of=self._site_of,
            rsync_port=settings.rsync.port,
            clock=clock,
        )

    def boot_script(self, mac: Mac, uuid: str) -> str:
        """What iPXE runs on this machine: the installer with a fresh token, or its own disk."""
        node = self.nodes.find(mac, uuid)
        if node is None or node.action is not BootAction.INSTALL:
            return self._templates.render("boot/local.ipxe", machine=node.name if node else str(mac))
        version = self.images.resolve(node.image)
        token = self._tokens.mint(node.name, self._clock() + self._settings.token_lifetime)
        return self._templates.render(
            "boot/install.ipxe",
            node=node.name,
            server=self._settings.base_url,
            boot=f"{self._settings.base_url}/boot/ramdisk/{version.facts.arch}",
            arguments=install_arguments(self._settings.base_url, token, node.console),
        )

    def claim(self, claim: Claim) -> Claimed:
        """An agent starts the install that its boot token stands for. Raises Denied."""
        name = self._tokens.claim(claim.token, claim.secret, self._clock())
        self.nodes.record(name, NodeEvent.CLAIMED)
        self.nodes.clear_reports(name)
        self.nodes.keep(name, installing=None, updating=None)  # nothing to read before there is a plan
        return Claimed(name, self._settings.rsync.port, self._settings.authorized_keys)

    def holder(self, secret: str) -> str:
        """The node that proves itself by this secret. Raises Denied."""
        return self._tokens.holder(secret)

    def answer_plan(self, name: str, inventory: Inventory) -> PlanAnswer:
        """The plan for the hardware the agent found; what it may read from now on. Raises CannotPlan."""
        self.nodes.keep(name, inventory=to_json(inventory))
        node = self.nodes.get(name)
        install, system = self._plan(node, inventory)
        self._layers.render(node, self.images.resolve(ImageRef.parse(install.image)))
        answer = PlanAnswer(install, plan_hash(install))
        self.nodes.keep(name, plan_hash=answer.hash, installing=install.image, system=to_json(system))
        return answer

    def plan(self, node: Node, inventory: Inventory) -> InstallPlan:
        """The plan that would run; nothing is stored or touched."""
        return self._plan(node, inventory)[0]

    def _plan(self, node: Node, inventory: Inventory) -> tuple[InstallPlan, System]:
        version = self.images.resolve(node.image)
        layout = read_layout(layouts.find(self._state.layouts, node.layout), node.layout)
        return plan_with_system(node, version, layout, inventory, self._site_of(node))

    def merged_overrides(self, node: Node, version: Version) -> Merged:
        """Which layer each path of a node's overrides comes from; nothing is made."""
        return self.overrides.merged(self._layers.wanted(node, version), self.images.tree(version))

    def record_report(self, name: str, report: Report) -> None:
        """Keep a report, and move the node where the report says it is. A running node stays what it is."""
        if report.phase in PHASES and self.updates.concerns(name):
            self.updates.record_report(name, report)
            return
        if report.status is Status.FAILED:
            self.nodes.record(name, NodeEvent.FAILED, reason=f"{report.phase}: {report.message}")
        elif (report.phase, report.status) == ("reboot", Status.DONE):
            installing = self.nodes.fact(name, "installing")
            changes = {"action": BootAction.LOCAL.value, "installed": installing, **NEVER_UPDATED}
            self.nodes.record(name, NodeEvent.INSTALLED, **changes)
        self.nodes.add_report(name, self._clock(), report)

    def record_up(self, name: str) -> None:
        """The installed system runs. Raises Conflict when nothing was installed."""
        self.nodes.record(name, NodeEvent.UP)
        self.nodes.add_report(name, self._clock(), Report("up", Status.DONE, 0.0))

    def record_host_keys(self, name: str, keys: str) -> None:
        """The ssh public host keys that the node made, a line each."""
        self.nodes.keep(name, host_keys=keys)

    def key(self, name: str, device: str) -> str:
        """The key of an encrypted device that the node's plan speaks of, for the agent that carries the plan out.

        Raises Conflict when nothing is being installed: a running node needs none. Raises NotFound.
        """
        system = self.nodes.fact(name, "system")
        if self.nodes.get(name).state is not NodeState.INSTALLING or not system:
            raise Conflict("nothing is being installed", where=name)
        if device not in {each.name for each in from_json(system, System).crypts}:
            raise NotFound("the plan has no such encrypted device", where=f"{name}: {device[:40]}")
        return self._keys.of(name, device)

    def grant(self, name: str, secret: str) -> Grant | None:
        """What an rsync connection may read now: the version of its plan and what lies over it for this node, and only
        while it is being installed or updated."""
        try:
            holder = self.nodes.holder(secret)
            version = self._under_way(holder)
        except (Denied, NotFound, Conflict):
            return None
        if holder.name != name:
            return None
        image = Module("image", self.images.tree(version))
        return Grant(name, (image, *self.updates.modules(self.nodes.get(name))))

    def _under_way(self, holder: Holder) -> Version:
        installs = holder.state is NodeState.INSTALLING
        planned = self.nodes.fact(holder.name, "installing") if installs else holder.updating
        if not planned or not (installs or holder.state in RUNNING):
            raise Conflict("nothing is being installed or updated", where=holder.name)
        return self.images.resolve(ImageRef.parse(planned))

    def _is_fetching(self, name: str) -> bool:
        return name in self.fetching()

    def _site_of(self, node: Node) -> Site:
        subnets = self._settings.dhcp.subnets
        own = next((each for each in subnets if node.address and node.address in each.network), None)
        subnet = own or next(iter(subnets), None)
        dns = tuple(str(server) for server in subnet.dns) if subnet else ()
        return Site(self._site, self._settings.base_url, dns, subnet.domain if subnet else "")
