"""What the verbs that speak to running nodes share: names to nodes, how ssh gets there, and how that is asked for."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from attrs import frozen
from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import GroupResolver, GroupResolverError, GroupSource

from imaged.model.errors import BadInput
from imaged.model.lease import LeaseState
from imaged.model.node import Node
from imaged.planning import ssh
from imaged.planning.ssh import Door
from imaged.store.groups import Groups
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes

AGENT = "/usr/sbin/imaged"  # on a node; sshd's PATH may lack it


@frozen
class Ssh:
    """How the admin wants nodes to be reached; ``options`` are ssh_config(5)'s, ``Key=value``."""

    user: str = "root"
    key: Path | None = None
    options: tuple[str, ...] = ()
    fanout: int = 32
    timeout: float | None = None


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


def take(given: dict[str, Any]) -> Ssh:
    """The values of ``options``, taken out of a command's keywords. Raises BadInput."""
    wanted = tuple(given.pop("ssh_options"))
    for option in wanted:
        if "=" not in option or "\n" in option:
            raise BadInput(f"{option!r} is not KEY=VALUE", where="--ssh-option")
    return Ssh(given.pop("ssh_user"), given.pop("ssh_key"), wanted, given.pop("fanout"), given.pop("timeout"))


def named(engine: sa.Engine, ranges: Sequence[str]) -> tuple[Node, ...]:
    """The nodes that ``node[001-064,100]``, ``@rack1``, ``@*!node05`` and the like mean, in that order.

    ``@*`` are all nodes. Raises BadInput, NotFound for a group or a node that is not defined.
    """
    store, groups = Nodes(engine), Groups(engine)
    known = {group.name: ",".join(groups.nodes(group.name)) for group in groups.all()}
    everyone = {node.name: node for node in store.all()} if any("@" in each for each in ranges) else {}
    resolver = GroupResolver(GroupSource("imaged", known, ",".join(everyone)), illegal_chars=set())
    for name in re.findall(r"@([a-z0-9][a-z0-9._-]*)", ",".join(ranges)):
        groups.get(name)  # ClusterShell takes a group that there is not for an empty one
    try:
        names = [str(name) for each in ranges for name in NodeSet(each, resolver=resolver)]
    except (NodeSetException, GroupResolverError) as error:
        hint = "Write nodes like node01, node[01-64,100]!node17, or @group."
        raise BadInput(str(error), hint=hint) from None
    return tuple(everyone.get(name) or store.get(name) for name in dict.fromkeys(names))


def unfolded(ranges: str) -> tuple[str, ...]:
    """The names in ``node[001-064]!node017``, in their order, whether or not there are such nodes. Raises BadInput."""
    try:
        return tuple(str(name) for name in NodeSet(ranges, resolver=GroupResolver(GroupSource("none"))))
    except (NodeSetException, GroupResolverError) as error:
        raise BadInput(str(error), where=ranges, hint="Write names like node[001-064].") from None


def folded(names: Sequence[str]) -> str:
    """``node[01-03,07]``."""
    return str(NodeSet.fromlist(list(names)))


@contextmanager
def ssh_config(engine: sa.Engine, nodes: Sequence[Node], how: Ssh) -> Iterator[Path]:
    """A directory of files for ssh while the block runs; its ssh_config(5) is what to give to ``ssh -F``."""
    doors = tuple(_door(Nodes(engine), LeaseStore(engine), node) for node in nodes)
    with tempfile.TemporaryDirectory(prefix="imaged-ssh-") as name:
        known, config = Path(name, "known_hosts"), Path(name, "config")
        known.write_text(ssh.known_hosts(doors))
        key = str(how.key.absolute()) if how.key else ""
        config.write_text(ssh.config(doors, known=str(known), user=how.user, key=key, options=how.options))
        yield config


def _door(store: Nodes, leases: LeaseStore, node: Node) -> Door:
    keys = tuple((store.fact(node.name, "host_keys") or "").splitlines())
    return Door(node.name, node.address or _leased(leases, node), keys)


def _leased(leases: LeaseStore, node: Node) -> IPv4Address | None:
    """The address that a node without one of its own was given last; without any, its name must resolve."""
    held = [each for each in leases.load() if each.mac in node.macs and each.state is LeaseState.BOUND]
    return max(held, key=lambda each: each.expires).address if held else None
