"""What the server does for a node on its way to ready, without HTTP: stores asked, planning called, results stored."""

import hashlib
from collections.abc import Callable, Collection
from contextlib import suppress

import sqlalchemy as sa
from attrs import evolve

from imaged.admin.desk import Desk
from imaged.daemon.booting import Booting
from imaged.daemon.glimpses import Glimpses
from imaged.daemon.layers import SiteLayers
from imaged.daemon.strangers import Strangers
from imaged.daemon.updates import NEVER_UPDATED, RUNNING, Updates
from imaged.model.boot import RAMDISK_DIR
from imaged.model.codec import from_json, to_json
from imaged.model.errors import Conflict, Denied, NotFound
from imaged.model.hardware import Inventory
from imaged.model.host import Identity
from imaged.model.image import ImageFacts, Version
from imaged.model.names import ImageRef
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.override import Merged, Wanted
from imaged.model.plan import InstallPlan
from imaged.model.report import Report, Status
from imaged.model.settings import Settings
from imaged.model.system import System
from imaged.model.talk import BootToken, Claim, Claimed, MediumBoot, PlanAnswer, Reinstall, Rescue, Rescued, Served
from imaged.model.transfer import Grant, Module
from imaged.model.update import Script
from imaged.model.vault import KeptFiles
from imaged.model.wishes import Wishes
from imaged.planning.course import QUEUE, UP
from imaged.planning.delta import delta
from imaged.planning.install import Site, plan_hash, plan_with_system
from imaged.planning.layout import read as read_layout
from imaged.planning.script import install_arguments
from imaged.planning.scripts import Chosen
from imaged.planning.ssh import host_key
from imaged.planning.states import KINDS
from imaged.planning.tally import Tally
from imaged.planning.touched import recorded
from imaged.planning.update import PHASES
from imaged.store import layouts
from imaged.store.askers import Askers
from imaged.store.database import open_database
from imaged.store.deltas import Deltas
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.images import Images
from imaged.store.keys import Keys
from imaged.store.media import Media
from imaged.store.nodes import BOOTS_LOCALLY, Holder, Nodes
from imaged.store.overrides import Overrides
from imaged.store.paths import State
from imaged.store.site import site_uuid
from imaged.store.templates import Templates
from imaged.store.tokens import Tokens
from imaged.store.vault import Vault

_MOMENT = 60.0  # seconds
_MOST_REPORTERS = 16_384
SCRIPTS_DIR = "autoinstall_scripts"  # the site's own, below the state directory


class Provisioning:
    """The stores of one server and what may be done with them for a node. ``clock`` gives seconds since the epoch."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self.fetching: Callable[[], Collection[str]] = tuple  # nodes with an rsync connection: the daemon's to say
        self._state = State.of(settings)
        self.engine: sa.Engine = open_database(self._state.database)
        self.nodes = Nodes(self.engine)
        self.glimpses = Glimpses(self.nodes.add_progress)
        self.tally = Tally()
        self._reporters: dict[str, tuple[str, float]] = {}  # who holds a secret, and until when that is believed
        self.images = Images(self._state.images)
        self._tokens = Tokens(self.engine)
        self._media = Media(self.engine)
        self._keys = Keys(self.engine)
        templates = Templates(self._state.root / SCRIPTS_DIR)
        self.strangers = Strangers(Desk(settings, self.engine), templates, clock)
        self._site = site_uuid(self.engine)
        self._vault = Vault(self._state.vault)
        self._groups, self._hosts = Groups(self.engine), Hosts(self.engine)
        self.overrides = Overrides(self._state, in_use=self._is_fetching)
        self._layers = SiteLayers(self.overrides, self._groups, self._hosts, self.images, self._site_of)
        askers = Askers(self.engine)
        booting = Booting(settings, self.nodes, askers, self.images, self.strangers, templates, self._mint, clock)
        self.boot_script, self.generated, self._is_given_up = (
            booting.boot_script, booting.generated, booting.is_given_up
        )  # fmt: skip
        self.updates = Updates(
            self.nodes,
            self.images,
            Deltas(self._state.run / "deltas", delta),
            self._layers,
            site_of=self._site_of,
            tally=self.tally,
            rsync_port=settings.rsync.port,
            clock=clock,
        )

    def boot_by_medium(self, asked: MediumBoot) -> BootToken:
        """A boot token for the node that was started from a boot medium of ours.

        Raises Denied for a medium that is not good here, NotFound for a machine that is no node, and Conflict
        for a node that is not to be installed: a medium left in a drive must not wipe it after a power cut.
        """
        only = self._media.admit(asked.token, self._clock())
        found = (self.nodes.find(mac, asked.uuid) for mac in asked.macs or (None,))
        node = next((each for each in found if each), None)
        if node is None:
            shown = ", ".join(map(str, asked.macs)) or "no network card"
            raise NotFound(f"this machine is no node ({shown})", hint="Define it on the server: imaged addnode.")
        if only not in (None, node.name):
            raise Denied(f"this boot medium is for {only}", where=node.name, hint="Make another: imaged mkmedia.")
        if node.action is not BootAction.INSTALL or self._is_given_up(node):
            hint = f"Take the medium out; or, to install it: imaged boot {node.name} install."
            raise Conflict(f"{node.name} is not to be installed", hint=hint)
        return BootToken(node.name, self._mint(node))

    def reinstall(self, secret: str) -> Reinstall:
        """What a running node needs to start its own install. Reads the ramdisk: call it in a thread.

        Raises Denied, and Conflict for a node that nobody wants installed.
        """
        node = self.nodes.get(self._tokens.holder(secret))
        if node.action is not BootAction.INSTALL:
            hint = f"On the server: imaged updateclient {node.name} --autoinstall --yes."
            raise Conflict(f"{node.name} is not to be installed", hint=hint)
        arch = self.images.resolve(node.image).facts.arch

        def served(name: str) -> Served:
            path = self._state.boot / RAMDISK_DIR / arch / name
            try:
                with path.open("rb") as file:
                    return Served(f"/boot/{RAMDISK_DIR}/{arch}/{name}", hashlib.file_digest(file, "sha256").hexdigest())
            except OSError:
                raise NotFound("no boot ramdisk", where=str(path), hint="`imaged mkramdisk` makes one.") from None

        arguments = install_arguments(self._settings.base_url, self._mint(node), node.console)
        return Reinstall(served("vmlinuz"), served("initrd.img"), arguments)

    def rescue(self, asked: Rescue) -> Rescued:
        """Whose keys open a machine that was started for rescue. Nothing else about its node changes. Raises Denied."""
        try:
            node = self._media.admit(asked.token, self._clock()) or ""
        except Denied:
            node = self._tokens.look(asked.token, self._clock())
        if node:
            self.nodes.keep(node, installer_key=host_key(asked.host_key))
        return Rescued(node, self._settings.authorized_keys)

    def _mint(self, node: Node) -> str:
        return self._tokens.mint(node, self._clock() + self._settings.token_lifetime)

    def claim(self, claim: Claim) -> Claimed:
        """An agent starts the install that its boot token stands for. Raises Denied, BadInput."""
        key = host_key(claim.host_key)
        name = self._tokens.claim(claim.token, claim.secret, self._clock())
        self._reporters = {secret: known for secret, known in self._reporters.items() if known[0] != name}
        begun = (self.nodes.fact(name, "begun") or 0) + 1
        self.nodes.record(name, NodeEvent.CLAIMED, begun=begun, installer_key=key)
        self.nodes.clear_reports(name)
        self.nodes.keep(name, installing=None, updating=None)  # nothing to read before there is a plan
        return Claimed(name, self._settings.rsync.port, self._settings.authorized_keys, self._wishes(name))

    def holder(self, secret: str) -> str:
        """The node that proves itself by this secret. Raises Denied."""
        return self._tokens.holder(secret)

    def reporter(self, secret: str, report: Report) -> str:
        """As ``holder``. For progress, from which nothing follows, what was true a moment ago will do."""
        if report.status is not Status.PROGRESS:
            return self.holder(secret)
        name, until = self._reporters.get(secret, ("", 0.0))
        now = self._clock()
        if not now <= until <= now + _MOMENT:
            name = self.holder(secret)
            if len(self._reporters) >= _MOST_REPORTERS:
                self._reporters.clear()
            self._reporters[secret] = name, now + _MOMENT
        return name

    def answer_plan(self, name: str, inventory: Inventory) -> PlanAnswer:
        """The plan for the hardware the agent found; what it may read from now on. Raises CannotPlan."""
        self.nodes.keep(name, inventory=to_json(inventory), secure_boot=inventory.secure_boot)
        node = self.nodes.get(name)
        install, system = self._plan(node, inventory)
        self._refuse_another(node, plan_hash(install))
        self._layers.render(node, self.images.resolve(ImageRef.parse(install.image)))
        answer = PlanAnswer(install, plan_hash(install))
        own = recorded(step for phase in install.phases for step in phase.steps)
        self.nodes.keep(name, plan_hash=answer.hash, installing=install.image, system=to_json(system), touched=own)
        return answer

    def _refuse_another(self, node: Node, digest: str) -> None:
        """A plan that somebody has read and wanted is not carried out when it has become another one since.

        The node has failed then, whatever becomes of its agent: nothing of it was written to. Raises Conflict.
        """
        wanted = self._wishes(node.name).plan
        if wanted in ("", digest):
            return
        what = f"the plan for what this machine has now is {digest}, not {wanted} as it was confirmed"
        if node.state is NodeState.INSTALLING:
            self.nodes.record(node.name, NodeEvent.FAILED, reason=f"plan: {what}")
        hint = f"Nothing was written. See `imaged plan {node.name}`; imaged boot {node.name} install --plan {digest}."
        raise Conflict(what, where=node.name, hint=hint)

    def _wishes(self, name: str) -> Wishes:
        text = self.nodes.fact(name, "wishes")
        return from_json(text, Wishes) if text else Wishes()

    def plan(self, node: Node, inventory: Inventory) -> InstallPlan:
        """The plan that would run; nothing is stored or touched."""
        return self._plan(node, inventory)[0]

    def facts_of(self, install: InstallPlan) -> ImageFacts:
        """Of the version that it copies. Raises NotFound."""
        return self.images.resolve(ImageRef.parse(install.image)).facts

    def _plan(self, node: Node, inventory: Inventory) -> tuple[InstallPlan, System]:
        version = self.images.resolve(node.image)
        layout = read_layout(layouts.find(self._state.layouts, node.layout), node.layout)
        added = self._layers.additions(node, version)
        return plan_with_system(node, version, layout, inventory, self._site_of_install(node), added)

    def scripts(self, node: Node, kind: str) -> tuple[Chosen, ...]:
        """Which scripts of a kind (``pre-install``) run on ``node``, in their order, and why. Raises BadInput for one
        that cannot be read, rendered or named."""
        wanted = self._layers.wanted(node, self.images.resolve(node.image))
        self._layers.scripts(kind, wanted)
        return self._layers.chosen(kind, wanted)

    def state_scripts(self, name: str, state: str) -> tuple[Wanted, tuple[Script, ...]]:
        """What the server runs when the node comes to ``state``, and for whom. Raises ImagedError."""
        node = self.nodes.get(name)
        wanted = self._layers.wanted(node, self._version_of(node))
        return wanted, self._layers.scripts(f"{KINDS}/{state}", wanted)

    def _version_of(self, node: Node) -> Version:
        """What is on a running node's disk, if it is still in the store; else what an install of it would bring."""
        installed = self.nodes.fact(node.name, "installed") if node.state in RUNNING else None
        if installed:
            with suppress(NotFound):
                return self.images.resolve(ImageRef.parse(installed))
        return self.images.resolve(node.image)

    def merged_overrides(self, node: Node, version: Version) -> Merged:
        """Which layer each path of a node's overrides comes from; nothing is made."""
        return self.overrides.merged(self._layers.wanted(node, version), self.images.tree(version))

    def record_report(self, name: str, report: Report) -> None:
        """Keep a report, and move the node where the report says it is. A running node stays what it is.

        Progress is kept when ``glimpses`` are flushed.
        """
        if self.glimpses.take(name, self._clock(), report):
            return
        self._record(name, report)
        self.tally.reported(name, self._clock(), report)

    def _record(self, name: str, report: Report) -> None:
        if report.phase in PHASES and self.updates.concerns(name):
            self.updates.record_report(name, report)
            return
        if report.status is Status.FAILED:
            self.nodes.record(name, NodeEvent.FAILED, reason=f"{report.phase}: {report.message}")
        elif (report.phase, report.status) == ("reboot", Status.DONE):
            installing = self.nodes.fact(name, "installing")
            changes = {**BOOTS_LOCALLY, "installed": installing, "wishes": None, **NEVER_UPDATED}
            self.nodes.record(name, NodeEvent.INSTALLED, **changes)
            self._become(self.nodes.get(name))
        self.nodes.add_report(name, self._clock(), report)

    def record_place(self, name: str, position: int) -> None:
        """A node waits for a transfer's slot, ``position`` from 1; 0: it has one."""
        said = f"waits for a slot, place {position} when it came" if position else ""
        self.glimpses.take(name, self._clock(), Report(QUEUE, Status.PROGRESS, 0.0, said))

    def _become(self, node: Node) -> None:
        """The node is now who its plan made of it."""
        generation = self._site_of_install(node).generation
        if generation != self._vault.generation(node.name):
            self._vault.renew(node.name, generation)

    def record_up(self, name: str) -> None:
        """The installed system runs. Raises Conflict when nothing was installed."""
        self.nodes.record(name, NodeEvent.UP, installer_key=None)
        up = Report(UP, Status.DONE, 0.0)
        self.nodes.add_report(name, self._clock(), up)
        self.tally.reported(name, self._clock(), up)

    def record_inventory(self, name: str, inventory: Inventory) -> None:
        """What is on the disks now: with that the next plan is shown and confirmed. Raises Conflict as ``identity``."""
        self._refuse_idle(name)
        self.nodes.keep(name, inventory=to_json(inventory), secure_boot=inventory.secure_boot)

    def record_host_keys(self, name: str, keys: str) -> None:
        """The ssh public host keys that the node made, a line each."""
        self.nodes.keep(name, host_keys=keys)

    def identity(self, name: str) -> KeptFiles:
        """What is kept of the node's identity, for the agent that installs it: nothing if it shall have another.

        Raises Conflict when nothing is being installed: a running node has its own.
        """
        self._refuse_idle(name)
        mine = self._site_of(self.nodes.get(name)).host.identity in (None, Identity.KEEP)
        return self._vault.of(name) if mine else KeptFiles()

    def keep_identity(self, name: str, files: KeptFiles) -> None:
        """Keep it for the next install. Raises Conflict as ``identity``, BadInput for what is no identity."""
        self._refuse_idle(name)
        if self._site_of(self.nodes.get(name)).host.identity is not Identity.GOLDEN:
            self._vault.keep(name, files)

    def _refuse_idle(self, name: str) -> None:
        if self.nodes.get(name).state is not NodeState.INSTALLING:
            raise Conflict("nothing is being installed", where=name)

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
        host = self._hosts.of(node.name, node.groups)
        domain, generation = subnet.domain if subnet else "", self._vault.generation(node.name)
        return Site(self._site, self._settings.base_url, dns, domain, host, generation)

    def _site_of_install(self, node: Node) -> Site:
        """A node that shall become another is the next one from its install on, and no sooner."""
        site = self._site_of(node)
        return evolve(site, generation=site.generation + 1) if site.host.identity is Identity.NEW else site
