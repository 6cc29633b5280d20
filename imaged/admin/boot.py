"""What nodes do at their next network boot."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from imaged.admin import ranges
from imaged.admin.desk import Desk
from imaged.model.codec import to_json
from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.model.next_boot import MEMTEST, ONE_TIME, Booting, NextBoot, command_line, ipxe_script
from imaged.model.node import BootAction, Node
from imaged.model.wishes import Wishes
from imaged.planning import boot as planning
from imaged.store import custom
from imaged.store.paths import boot_loaders, find_beneath
from imaged.store.templates import render_text

_NO_WISHES = Wishes()


@frozen
class Before:
    """What a node's boot was before it was changed."""

    booting: Booting
    wishes: str | None


def keep_file(desk: Desk, source: BinaryIO, name: str) -> str:
    """A kernel or an initial ramdisk, copied to where machines find it; what to name it in a NextBoot."""
    return custom.keep(desk.state.boot, source, Path(name).name or name)


def choose(
    desk: Desk, names: Sequence[str], boot: NextBoot, *, once: bool | None = None, wishes: Wishes = _NO_WISHES
) -> tuple[tuple[str, Booting], ...]:
    """What the next network boot does, and what holds after it, of all or of none. ``names`` are ranges.

    ``once`` None: as is usual for the action. An install ends with ``local`` either way. Raises BadInput, NotFound, and
    Conflict for a machine that cannot do it.
    """
    _check(desk, boot)
    if boot.action is not BootAction.INSTALL and wishes != _NO_WISHES:
        raise BadInput(f"breakpoints, an ending and a plan go with install, not with {boot.action.value}")
    nodes = ranges.named(desk, names)
    if wishes.plan and len(nodes) > 1:
        raise BadInput("a plan is of one node only", where="plan")
    served = _served(desk.state.boot)
    for node in nodes:
        _refuse(desk, node, boot, served)
    found = tuple(node.name for node in nodes)
    chosen = desk.nodes.set_boot(found, boot, once=boot.action in ONE_TIME if once is None else once)
    for name in found:
        desk.nodes.keep(name, wishes=to_json(wishes) if wishes != _NO_WISHES else None)
    custom.prune(desk.state.boot, desk.nodes.boot_files())
    return tuple(zip(found, chosen, strict=True))


def remembered(desk: Desk, names: Iterable[str]) -> dict[str, Before]:
    """For ``restore``."""
    return {name: Before(desk.nodes.booting(name), desk.nodes.fact(name, "wishes")) for name in names}


def restore(desk: Desk, name: str, before: Before) -> None:
    """The node boots as it would have."""
    booting = before.booting
    desk.nodes.set_boot([name], booting.after or booting.now, once=False)
    if booting.after:
        desk.nodes.set_boot([name], booting.now, once=True)
    desk.nodes.keep(name, wishes=before.wishes)


def _check(desk: Desk, boot: NextBoot) -> None:
    """What goes with the action, and that all of it is there."""
    kernel, script = boot.action is BootAction.KERNEL, boot.action is BootAction.IPXE
    if bool(boot.kernel) is not kernel or (not kernel and (boot.initrds or boot.append)):
        raise BadInput("kernel needs a kernel, and initial ramdisks and a command line go with it only", where="kernel")
    if bool(boot.script) is not script:
        raise BadInput("ipxe needs a script, and a script goes with it only", where="script")
    if command_line(boot.append) != boot.append:
        raise BadInput("has needless white space", where="append")
    if script:
        ipxe_script(boot.script)
    for path in (boot.kernel, *boot.initrds):
        if path:
            try:
                find_beneath(desk.state.boot, path)
            except NotFound:
                raise NotFound("no such file below the boot directory", where=path) from None


def _refuse(desk: Desk, node: Node, boot: NextBoot, served: frozenset[str]) -> None:
    arch = _arch(desk, node) if boot.action in ONE_TIME else ""
    planning.refuse(node, boot.action, arch, planning.chain_of_node(node, desk.settings), served)
    if boot.action is BootAction.IPXE:
        values = planning.script_values(node, desk.settings)
        render_text(boot.script.encode(), values, where=f"the iPXE script for {node.name}")


def _arch(desk: Desk, node: Node) -> str:
    """As its agent found it, else as its image is for; empty: not known."""
    inventory = desk.nodes.inventory(node.name)
    if inventory:
        return inventory.arch
    try:
        return desk.images.resolve(node.image).facts.arch
    except ImagedError:
        return ""


def _served(boot: Path) -> frozenset[str]:
    return frozenset((*boot_loaders(boot), *(path for path in MEMTEST.values() if (boot / path).is_file())))
