"""What the server does for a node on its way to ready, without HTTP: stores asked, planning called, results stored."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

import sqlalchemy as sa
from attrs import evolve

from imaged.daemon.layers import SiteLayers
from imaged.daemon.updates import NEVER_UPDATED, RUNNING, Updates
from imaged.model.boot import GRUB_NODES, GRUB_START, RAMDISK_DIR
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, Denied, NotFound
from imaged.model.hardware import Inventory
from imaged.model.host import Identity
from imaged.model.image import ImageFacts, Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.override import Merged
from imaged.model.plan import InstallPlan
from imaged.model.report import (
    BootToken,
    Claim,
    Claimed,
    MediumBoot,
    PlanAnswer,
    Reinstall,
    Report,
    Rescue,
    Rescued,
    Served,
    Status,
)
from imaged.model.settings import Settings
from imaged.model.system import System
from imaged.model.transfer import Grant, Module
from imaged.model.vault import KeptFiles
from imaged.model.wishes import Wishes
from imaged.planning.delta import delta
from imaged.planning.install import Site, plan_hash, plan_with_system
from imaged.planning.layout import read as read_layout
from imaged.planning.script import install_arguments
from imaged.planning.scripts import Chosen
from imaged.planning.touched import recorded
from imaged.planning.update import PHASES
from imaged.store import layouts
from imaged.store.database import open_database
from imaged.store.deltas import Deltas
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.images import Images
from imaged.store.keys import Keys
from imaged.store.media import Media
from imaged.store.nodes import Holder, Nodes
from imaged.store.overrides import Overrides
from imaged.store.paths import State
from imaged.store.site import site_uuid
from imaged.store.templates import Templates
from imaged.store.tokens import Tokens
from imaged.store.vault import Vault

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
        self._media = Media(self.engine)
        self._keys = Keys(self.engine)
        self._templates = Templates(self._state.root / SCRIPTS_DIR)
        self._site = site_uuid(self.engine)
        self._vault = Vault(self._state.vault)
        self._groups, self._hosts = Groups(self.engine), Hosts(self.engine)
        self.overrides = Overrides(self._state, in_use=self._is_fetching)
        self._layers = SiteLayers(self.overrides, self._groups, self._hosts, self.images, self._site_of)
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
        if node is None or node.action is BootAction.LOCAL:
            return self._templates.render("boot/local.ipxe", machine=node.name if node else str(mac))
        version = self.images.resolve(node.image)
        rescue = node.action is BootAction.RESCUE
        return self._templates.render(
            "boot/install.ipxe",
            node=node.name,
            server=self._settings.base_url,
            purpose="starts for rescue" if rescue else "will be installed",
            boot=f"{self._settings.base_url}/boot/ramdisk/{version.facts.arch}",
            arguments=install_arguments(self._settings.base_url, self._mint(node), node.console, rescue=rescue),
        )

    def grub_script(self, mac: Mac) -> str:
        """What GRUB runs on this machine: as ``boot_script``, for machines whose firmware lets no iPXE run."""
        node = self.nodes.find(mac)
        if node is None or node.action is BootAction.LOCAL:
            return self._templates.render("boot/local.grub", machine=node.name if node else str(mac))
        version = self.images.resolve(node.image)
        rescue = node.action is BootAction.RESCUE
        return self._templates.render(
            "boot/install.grub",
            node=node.name,
            purpose="starts for rescue" if rescue else "will be installed",
            boot=f"/{RAMDISK_DIR}/{version.facts.arch}",
            mac=str(mac).replace(":", "-"),
            script=f"/{GRUB_NODES}/{mac}",
            arguments=install_arguments(self._settings.base_url, self._mint(node), node.console, rescue=rescue),
        )

    def generated(self, name: str, _client: object = None) -> bytes | None:
        """What TFTP serves that is no file: GRUB's scripts. None: it is no name of ours. Raises NotFound."""
        if name == GRUB_START:
            return self._templates.render("boot/start.grub", nodes=f"/{GRUB_NODES}").encode()
        directory, _, mac = name.rpartition("/")
        if directory != GRUB_NODES:
            return None
        try:
            return self.grub_script(Mac.parse(mac)).encode()
        except BadInput as error:
            raise NotFound(error.what) from None

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
        if node.action is not BootAction.INSTALL:
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
        """Whose keys open a machine that was started for rescue. Nothing about its node changes. Raises Denied."""
        try:
            node = self._media.admit(asked.token, self._clock()) or ""
        except Denied:
            node = self._tokens.look(asked.token, self._clock())
        return Rescued(node, self._settings.authorized_keys)

    def _mint(self, node: Node) -> str:
        return self._tokens.mint(node.name, self._clock() + self._settings.token_lifetime)

    def claim(self, claim: Claim) -> Claimed:
        """An agent starts the install that its boot token stands for. Raises Denied."""
        name = self._tokens.claim(claim.token, claim.secret, self._clock())
        self.nodes.record(name, NodeEvent.CLAIMED)
        self.nodes.clear_reports(name)
        self.nodes.keep(name, installing=None, updating=None)  # nothing to read before there is a plan
        return Claimed(name, self._settings.rsync.port, self._settings.authorized_keys, self._wishes(name))

    def holder(self, secret: str) -> str:
        """The node that proves itself by this secret. Raises Denied."""
        return self._tokens.holder(secret)

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
            changes = {"action": BootAction.LOCAL.value, "installed": installing, "wishes": None, **NEVER_UPDATED}
            self.nodes.record(name, NodeEvent.INSTALLED, **changes)
            self._become(self.nodes.get(name))
        self.nodes.add_report(name, self._clock(), report)

    def _become(self, node: Node) -> None:
        """The node is now who its plan made of it."""
        generation = self._site_of_install(node).generation
        if generation != self._vault.generation(node.name):
            self._vault.renew(node.name, generation)

    def record_up(self, name: str) -> None:
        """The installed system runs. Raises Conflict when nothing was installed."""
        self.nodes.record(name, NodeEvent.UP)
        self.nodes.add_report(name, self._clock(), Report("up", Status.DONE, 0.0))

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
        host = self._hosts.of(node.name, self._groups.of(node.name))
        domain, generation = subnet.domain if subnet else "", self._vault.generation(node.name)
        return Site(self._site, self._settings.base_url, dns, domain, host, generation)

    def _site_of_install(self, node: Node) -> Site:
        """A node that shall become another is the next one from its install on, and no sooner."""
        site = self._site_of(node)
        return evolve(site, generation=site.generation + 1) if site.host.identity is Identity.NEW else site
