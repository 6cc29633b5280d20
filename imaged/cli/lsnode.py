"""``imaged lsnode``: nodes and the machines that wait for a name."""

import json
from collections.abc import Sequence
from typing import Any

import click

from imaged.admin import ranges
from imaged.admin.desk import Desk
from imaged.admin.overview import Standing, standings
from imaged.cli import setups
from imaged.cli.columns import columns
from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.errors import ImagedError
from imaged.model.machine import Machine
from imaged.model.node import BootAction, Node
from imaged.store.layers import readable

_TITLES = ("node", "state", "next boot", "image", "on disk", "in step", "drift", "layout", "address", "mac")
_FACTS = ("installed", "updating", "serial", "updated_at", "drift_at", "last_seen")
_DOCUMENTS = ("updated", "drift", "boot_after")  # JSON


@click.command("lsnode")
@click.argument("names", nargs=-1, metavar="[NODES]...")
@click.option(
    "--json", "as_json", is_flag=True, help="Everything, for programs; of NODES also which files are their own."
)
@click.pass_obj
def command(context: Context, names: tuple[str, ...], as_json: bool) -> None:
    """List NODES (all without a name), and machines that network-booted but are no node yet."""
    desk = context.desk
    nodes = ranges.named(desk, names) if names else desk.nodes.all()
    machines = () if names else desk.machines.discovered()
    if as_json:
        plain = _known(desk, nodes, (*_DOCUMENTS, "touched") if names else _DOCUMENTS)
        click.echo(json.dumps({"nodes": plain, "discovered": to_plain(machines)}, indent=2))
    elif not nodes and not machines:
        click.echo("No nodes yet. `imaged addnode NAME --mac MAC --image IMAGE` defines one.")
    if nodes and not as_json:
        _show(tuple(standings(desk, nodes)))
    if machines and not as_json:
        _show_machines(desk, machines)


def _known(desk: Desk, nodes: Sequence[Node], documents: tuple[str, ...]) -> list[dict[str, Any]]:
    """What is known of each beside its definition, for programs."""
    rows, scripts = desk.nodes.every(*_FACTS, *documents), desk.runs.troubles()
    return [
        {
            **to_plain(node),
            **{key: getattr(rows[node.name], key) for key in _FACTS},
            **{key: json.loads(text) if (text := getattr(rows[node.name], key)) else None for key in documents},
            "scripts": scripts.get(node.name, ()),
        }
        for node in nodes
        if node.name in rows
    ]


def _show(found: Sequence[Standing]) -> None:
    rows = []
    for each in found:
        node = each.node
        waits = node.left_alone and node.action is not BootAction.LOCAL
        rows.append((
            node.name, node.state.value, f"({each.booting})" if waits else each.booting, str(node.image) or "-",
            each.installed or "-", each.in_step, "-" if each.drift is None else str(each.drift), node.layout,
            str(node.address or "-"), " ".join(map(str, node.macs)),
        ))  # fmt: skip
    click.echo(columns(_TITLES, rows))
    for each in found:
        for trouble in each.troubles:
            click.echo(readable(f"{each.node.name}: {trouble}"))
    setups.tell_missing([each.node for each in found])


def _show_machines(desk: Desk, machines: Sequence[Machine]) -> None:
    """Where there are any: the rules and rich take as long to load as thousands of nodes to be listed."""
    from imaged.admin import discovery
    from imaged.cli import lsmachine

    try:
        proposed = {each.machine.mac: each for each in discovery.proposed(desk, discovery.read_rules(desk.state))}
    except ImagedError:  # `imaged lsmachine` tells it
        proposed = {}
    lsmachine.show(list(machines), proposed)
    click.echo("Machines without a name are left alone. `imaged assign`, `approve` and `collect` give them one.")
