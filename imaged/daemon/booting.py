"""The scripts that machines are told to run when they boot from the network: by iPXE over HTTP, by GRUB over TFTP."""

from collections.abc import Callable

from attrs import frozen
from twisted.logger import Logger

from imaged.daemon.strangers import Strangers
from imaged.model.boot import GRUB_NODES, GRUB_START, RAMDISK_DIR
from imaged.model.errors import BadInput, NotFound
from imaged.model.machine import Label
from imaged.model.net import Mac
from imaged.model.next_boot import MEMTEST, NextBoot
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.settings import Settings
from imaged.planning.boot import script_values
from imaged.planning.discovery import ramdisk_arch
from imaged.planning.script import custom_arguments, install_arguments, memtest_arguments
from imaged.store.askers import Asker, Askers
from imaged.store.images import Images
from imaged.store.nodes import BOOTS_LOCALLY, Nodes
from imaged.store.templates import Templates, render_text

_SAME_BOOT = 120.0  # seconds in which a machine that asks again is still at the same boot
_PURPOSES = {
    BootAction.INSTALL: "will be installed",
    BootAction.RESCUE: "starts for rescue",
    BootAction.INVENTORY: "tells its hardware",
}


@frozen
class _Served:
    """A script that was told once. ``after`` is what held from that moment on."""

    time: float
    loader: str
    script: str
    after: NextBoot


class Booting:
    """``mint`` makes a boot token for a node, ``clock`` gives seconds since the epoch."""

    _log = Logger()

    def __init__(
        self, settings: Settings, nodes: Nodes, askers: Askers, images: Images, strangers: Strangers,
        templates: Templates, mint: Callable[[Node], str], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._settings, self._nodes, self._askers, self._images = settings, nodes, askers, images
        self._strangers, self._templates, self._mint, self._clock = strangers, templates, mint, clock
        self._once: dict[str, _Served] = {}
        self._base = settings.base_url

    def boot_script(self, mac: Mac, uuid: str, label: Label | None = None) -> str:
        """What iPXE runs on this machine: the installer with a fresh token, or its own disk, or what was chosen.

        ``label`` is what a machine without a name has told when it was asked.
        """
        asker = self._askers.find(mac, uuid)
        if asker is None and self._strangers.meet(mac, label):
            asker = self._askers.find(mac, uuid)
        return self._script(asker, mac, "ipxe") if asker else self._strangers.script(mac, asked=label is not None)

    def grub_script(self, mac: Mac) -> str:
        """What GRUB runs on this machine: as ``boot_script``, for machines whose firmware lets no iPXE run."""
        asker = self._askers.find(mac)
        return self._script(asker, mac, "grub") if asker else self._strangers.grub_script(mac)

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

    def is_given_up(self, node: Node) -> bool:
        """Whether its install was begun so often, and never ended, that nobody but a person begins it again.

        It has failed then, and boots from its own disk until somebody says otherwise.
        """
        return self._gives_up(node, self._nodes.fact(node.name, "begun") or 0)

    def _gives_up(self, node: Node, begun: int) -> bool:
        if node.action is not BootAction.INSTALL or begun < self._settings.install_attempts:
            return False
        last = f" (the last time: {node.reason})" if node.reason else ""
        reason = f"its install was begun {begun} times and never ended{last}"
        self._nodes.record(node.name, NodeEvent.FAILED, reason=reason, **BOOTS_LOCALLY)
        self._log.warn("{node}: its install is given up after {begun} times", node=node.name, begun=begun)
        return True

    def _script(self, asker: Asker, mac: Mac, loader: str) -> str:
        """Asked for by ``loader``. What is for one boot is told for as long as that may be the same one."""
        node, booting = asker.node, asker.booting
        if self._gives_up(node, asker.begun):
            return self._local(loader, f"{node.name}, whose install is given up,", node)
        if node.left_alone and node.action is BootAction.INSTALL:
            return self._local(loader, f"{node.name}, for which nobody said an image,", node)
        served = self._once.get(node.name)
        if served and booting.after is None and booting.now == served.after and served.loader == loader:
            if self._clock() - served.time < _SAME_BOOT:
                return served.script
            del self._once[node.name]
        script = self._render(node, mac, booting.now, loader)
        if booting.after:
            self._nodes.set_boot([node.name], booting.after, once=False)
            self._once[node.name] = _Served(self._clock(), loader, script, booting.after)
        return script

    def _local(self, loader: str, machine: str, node: Node) -> str:
        return self._templates.render(f"boot/local.{loader}", machine=machine, var=node.variables)

    def _render(self, node: Node, mac: Mac, boot: NextBoot, loader: str) -> str:
        if boot.action in _PURPOSES:
            return self._ramdisk(node, mac, boot.action, loader)
        if boot.action is BootAction.MEMTEST:
            return self._templates.render(
                f"boot/memtest.{loader}", node=node.name, var=node.variables, machine=node.name,
                files=self._files(loader), memtest=MEMTEST, arguments=memtest_arguments(node.console),
            )  # fmt: skip
        if boot.action is BootAction.KERNEL:
            return self._templates.render(
                f"boot/kernel.{loader}", node=node.name, var=node.variables, files=self._files(loader),
                kernel=boot.kernel, initrds=boot.initrds,
                arguments=custom_arguments(boot.append, boot.initrds, node.console),
                script=f"/{GRUB_NODES}/{mac}",
            )  # fmt: skip
        if boot.action is BootAction.IPXE and loader == "ipxe":
            values = script_values(node, self._settings)
            return render_text(boot.script.encode(), values, where=f"the iPXE script of {node.name}").decode()
        told = ""
        if boot.action is BootAction.IPXE:
            told = ", whose script only iPXE runs,"
        elif node.state is NodeState.FAILED:
            told = ", whose last install failed,"
        return self._local(loader, f"{node.name}{told}", node)

    def _ramdisk(self, node: Node, mac: Mac, action: BootAction, loader: str) -> str:
        server = self._base
        if node.image:
            arch = self._images.resolve(node.image).facts.arch
        else:
            arch = ramdisk_arch(self._strangers.machines.find(mac))
        if action is BootAction.INVENTORY:
            arguments = self._strangers.arguments(node.macs[0], node.console)
        else:
            rescue = action is BootAction.RESCUE
            arguments = install_arguments(server, self._mint(node), node.console, rescue=rescue)
        return self._templates.render(
            f"boot/install.{loader}", node=node.name, var=node.variables, server=server, purpose=_PURPOSES[action],
            boot=f"{self._files(loader)}/{RAMDISK_DIR}/{arch}", mac=str(mac).replace(":", "-"),
            script=f"/{GRUB_NODES}/{mac}", arguments=arguments,
        )  # fmt: skip

    def _files(self, loader: str) -> str:
        """What goes before a path below the boot directory: GRUB's device is the TFTP server already."""
        return f"{self._base}/boot" if loader == "ipxe" else ""
