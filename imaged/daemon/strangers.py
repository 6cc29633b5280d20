"""Machines without a name at the server: seen, asked, named by the rules, and what they may do meanwhile."""

from collections.abc import Callable, Iterable

from twisted.logger import Logger

from imaged.admin import discovery as admin
from imaged.admin.desk import Desk
from imaged.model.boot import GRUB_NODES, RAMDISK_DIR
from imaged.model.codec import to_json
from imaged.model.errors import BadInput, ImagedError
from imaged.model.hardware import Inventory
from imaged.model.machine import Label, Machine
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node
from imaged.model.places import Rule
from imaged.model.talk import Told, ToldAnswer
from imaged.planning.discovery import Way, after_inventory, labelled, ramdisk_arch, way
from imaged.planning.rules import choose
from imaged.planning.script import inventory_arguments
from imaged.planning.throttle import Throttle
from imaged.store.templates import Templates
from imaged.store.visits import Visits

_LABELS = 50  # records a second of what strangers tell of themselves: each is a commit, and anybody can tell anything
_LARGEST = 2**20  # characters of the inventory of a machine that nobody knows


class Strangers:
    """What is done for machines that are no node. ``clock`` gives seconds since the epoch."""

    _log = Logger()

    def __init__(self, desk: Desk, templates: Templates, clock: Callable[[], float]) -> None:
        self._desk, self._templates, self._clock = desk, templates, clock
        self._nodes, self.machines = desk.nodes, desk.machines
        self._visits = Visits(desk.engine)
        self._labels = Throttle(rate=_LABELS, burst=_LABELS)
        self._rules: tuple[Rule, ...] = ()
        self._rules_stamp: tuple[int, int, int] | None = None
        self._said: set[str] = set()

    def saw(self, machine: Machine) -> None:
        """A machine network-boots. It may become a node by it."""
        self.machines.saw(machine)
        self.name((machine,))

    def have_rules(self) -> bool:
        """Whether a machine may become a node because it was seen."""
        return bool(self._read_rules())

    def name(self, seen: Iterable[Machine]) -> None:
        """The rules give names to those of these that are no nodes."""
        if self._read_rules():
            for machine in seen:
                if self._nodes.find(machine.mac, machine.uuid) is None:
                    self._register(machine.mac)

    def meet(self, mac: Mac, label: Label | None) -> Node | None:
        """The node that this machine has become by what its iPXE tells of it, if it has."""
        if label is not None and self._labels.admits(self._clock()):
            self.machines.told(mac, label, self._clock())
            return self._register(mac)
        return None

    def script(self, mac: Mac, *, asked: bool) -> str:
        """What iPXE runs on a machine without a name. ``asked``: it has told what it is."""
        machine, next_way = self._way(mac, asked=asked)
        settings, base = self._desk.settings, self._desk.settings.base_url
        if next_way is Way.ASK:
            return self._templates.render("boot/ask.ipxe", machine=str(mac), url=f"{base}/ipxe/{mac}")
        if next_way is Way.LOCAL:
            return self._templates.render("boot/local.ipxe", machine=str(mac), var={})
        return self._templates.render(
            "boot/install.ipxe", node=str(mac), var={}, server=base, purpose="tells its hardware",
            boot=f"{base}/boot/{RAMDISK_DIR}/{ramdisk_arch(machine)}",
            arguments=self.arguments(mac, settings.discovery_console),
        )  # fmt: skip

    def grub_script(self, mac: Mac) -> str:
        """The same for GRUB, which cannot be asked."""
        machine, next_way = self._way(mac, asked=True)
        if next_way is Way.LOCAL:
            return self._templates.render("boot/local.grub", machine=str(mac), var={})
        return self._templates.render(
            "boot/install.grub", node=str(mac), var={}, purpose="tells its hardware",
            boot=f"/{RAMDISK_DIR}/{ramdisk_arch(machine)}", mac=str(mac).replace(":", "-"),
            script=f"/{GRUB_NODES}/{mac}",
            arguments=self.arguments(mac, self._desk.settings.discovery_console),
        )  # fmt: skip

    def arguments(self, mac: Mac, console: str) -> str:
        """The kernel's, for a machine that is to tell its hardware."""
        return inventory_arguments(self._desk.settings.base_url, self._mint(mac), console)

    def told(self, said: Told) -> ToldAnswer:
        """A machine tells its hardware, or asks what it may do now. Raises Denied, BadInput."""
        mac = self._visits.admit(said.token, self._clock())
        node = self._nodes.find(mac)
        if said.inventory is not None:
            node = self._keep(mac, node, said.inventory)
        settings = self._desk.settings
        then = after_inventory(node is not None, settings.after_inventory)
        return ToldAnswer(node.name if node else "", then, self._mint(mac), settings.authorized_keys)

    def _keep(self, mac: Mac, node: Node | None, inventory: Inventory) -> Node | None:
        if node is not None:
            self._nodes.keep(node.name, inventory=to_json(inventory), secure_boot=inventory.secure_boot)
            if node.action is BootAction.INVENTORY:
                self._nodes.set_action([node.name], BootAction.LOCAL)
            return node
        if len(to_json(inventory)) > _LARGEST:
            raise BadInput(f"an inventory of more than {_LARGEST} characters", where=str(mac))
        machine = self.machines.find(mac) or Machine(mac)
        self.machines.keep_inventory(labelled(machine, inventory), inventory, self._clock())
        return self._register(mac)

    def _way(self, mac: Mac, *, asked: bool) -> tuple[Machine | None, Way]:
        machine = self.machines.find(mac)
        ramdisk = self._desk.state.boot / RAMDISK_DIR / ramdisk_arch(machine) / "initrd.img"
        return machine, way(machine, self._desk.settings.discovery, asked=asked, ramdisk=ramdisk.exists())

    def _mint(self, mac: Mac) -> str:
        return self._visits.mint(mac, self._clock() + self._desk.settings.token_lifetime)

    def _register(self, mac: Mac) -> Node | None:
        """By the rules. What keeps a machine from a name is told once: it asks again every few seconds."""
        rules = self._read_rules()
        machine = self.machines.find(mac)
        if not rules or machine is None:
            return None
        # All machines are looked at only if this one may get a name: a flood of made-up ones must not cost that much.
        choice = choose(rules, machine, self.machines.inventory(mac), self._desk.settings.discovery)
        if choice.rule is None or choice.rule.approve:
            return None
        try:
            named = admin.register(self._desk, rules, mac)
        except ImagedError as error:
            self._tell(f"{mac} gets no name by rule {choice.rule.name}: {error}")
            return None
        if named is None:
            return None
        self._log.info("{mac} is {name} now, by rule {rule}", mac=mac, name=named.node.name, rule=named.rule)
        return named.node

    def _read_rules(self) -> tuple[Rule, ...]:
        """As the file is now; with a fault in it nobody gets a name, and all else goes on."""
        try:
            found = self._desk.state.rules.stat()
            stamp: tuple[int, int, int] | None = (found.st_mtime_ns, found.st_ino, found.st_size)
        except OSError:
            stamp = None
        if stamp != self._rules_stamp:
            rules: tuple[Rule, ...] = ()
            self._said.clear()
            try:
                rules = admin.read_rules(self._desk.state)
            except ImagedError as error:
                self._tell(f"no rule counts until this is mended: {error}")
            self._rules_stamp, self._rules = stamp, rules  # last: DHCP's machines are named in a thread
        return self._rules

    def _tell(self, what: str) -> None:
        if what not in self._said and len(self._said) < _LABELS:
            self._said.add(what)
            self._log.warn("discovery: {what}", what=what)
