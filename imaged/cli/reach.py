"""What the verbs that speak to running nodes share: how ssh gets there, and how that is asked for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.node import Node, NodeState
from imaged.planning import ssh
from imaged.planning.ssh import Door
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes

_RAMDISK = frozenset((NodeState.INSTALLING, NodeState.FAILED))
AGENT = "/usr/sbin/imaged"  # on a node; sshd's PATH may lack it


@frozen
class Ssh:
    """How the admin wants nodes to be reached; ``options`` are ssh_config(5)'s, ``Key=value``. ``installer``: in the
    boot ramdisk."""

    user: str = "root"
    key: Path | None = None
    options: tuple[str, ...] = ()
    fanout: int = 32
    timeout: float | None = None
    installer: bool = False


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every verb that goes to nodes; ``take`` reads them."""
    for option in (
        click.option("--timeout", type=click.IntRange(1), help="Seconds for each node; none without this."),
        click.option("--ssh-option", "ssh_options", multiple=True, metavar="KEY=VALUE", help="As in ssh_config(5)."),
        click.option("--ssh-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A private key."),
        click.option("--ssh-user", default="root", show_default=True, help="Who to log in as; it needs root's rights."),
        click.option("--fanout", type=click.IntRange(1), default=32, show_default=True, help="Nodes at once."),
    ):
        command = option(command)
    return command


def also_installer(command: Callable[..., Any]) -> Callable[..., Any]:
    """Of verbs that make sense in the boot ramdisk, too; ``take`` reads it."""
    return click.option("--installer", is_flag=True, help="Into nodes that are in the installer, failed ones too.")(
        command
    )


def take(given: dict[str, Any]) -> Ssh:
    """The values of ``options``, taken out of a command's keywords. Raises BadInput."""
    wanted = tuple(given.pop("ssh_options"))
    for option in wanted:
        if "=" not in option or "\n" in option:
            raise BadInput(f"{option!r} is not KEY=VALUE", where="--ssh-option")
    return Ssh(
        given.pop("ssh_user"), given.pop("ssh_key"), wanted, given.pop("fanout"), given.pop("timeout"),
        given.pop("installer", False),
    )  # fmt: skip


@contextmanager
def ssh_config(engine: sa.Engine, nodes: Sequence[Node], how: Ssh) -> Iterator[Path]:
    """A directory of files for ssh while the block runs; its ssh_config(5) is what to give to ``ssh -F``."""
    doors = tuple(_door(Nodes(engine), LeaseStore(engine), node, installer=how.installer) for node in nodes)
    with tempfile.TemporaryDirectory(prefix="imaged-ssh-") as name:
        known, config = Path(name, "known_hosts"), Path(name, "config")
        known.write_text(ssh.known_hosts(doors))
        key = str(how.key.absolute()) if how.key else ""
        config.write_text(ssh.config(doors, known=str(known), user=how.user, key=key, options=how.options))
        yield config


def is_there(engine: sa.Engine, node: Node, *, installer: bool) -> bool:
    """Whether the node is where it is looked for, as far as we were told: in the boot ramdisk, or in its own system.

    Whose last install has ended, or who was in rescue, may be in either until its own system has reported.
    """
    known = Nodes(engine).fact(node.name, "installer_key") is not None
    return known if installer else not (known and node.state in _RAMDISK)


def _door(store: Nodes, leases: LeaseStore, node: Node, *, installer: bool) -> Door:
    keys = store.fact(node.name, "installer_key" if installer else "host_keys") or ""
    address = node.address or leases.latest(node.macs)  # without any, its name must resolve
    return Door(node.name, address, tuple(keys.splitlines()), "root" if installer else "")
