"""``imaged lsmachine``: machines without a name, and what the rules would make of them."""

import json
import time

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imaged.admin import discovery
from imaged.cli import naming
from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.planning.discovery import Proposal

_WIDE = 1000  # columns: as lsnode


@click.command("lsmachine")
@click.option("--all", "everything", is_flag=True, help="Also those that are ignored.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, everything: bool, as_json: bool) -> None:
    """List machines that network-booted and are no node, in the order in which they were first seen.

    Where rules.yaml has a rule for one, the name that waits for it is shown; `imaged approve` gives it.
    """
    desk = context.desk
    rules = discovery.read_rules(desk.state)
    machines = desk.machines.nobodys()
    made = {each.machine.mac: each for each in discovery.proposed(desk, rules)}
    shown = [each for each in machines if everything or not each.ignored]
    if as_json:
        plain = [{**to_plain(each), "proposal": _plain(made.get(each.mac))} for each in shown]
        click.echo(json.dumps(plain, indent=2))
    elif shown:
        show(shown, made if rules else {})
    else:
        click.echo("No machine without a name was seen.")


def show(machines: list[Machine], made: dict[Mac, Proposal]) -> None:
    """The table, with what the rules propose."""
    console = Console(width=_WIDE)
    table = Table(
        "machine", "what it is", "arch", "address", "relay", "first seen", "last seen", "by the rules", box=None
    )
    for each in machines:
        cells = (naming.what(each) or "-", each.arch or "-", each.address or "-", each.relay or "-")
        table.add_row(
            str(each.mac), *map(escape, cells), moment(each.first_seen), moment(each.last_seen),
            escape("ignored" if each.ignored else outcome(made.get(each.mac))),
        )  # fmt: skip
    console.print(table)


def outcome(proposal: Proposal | None) -> str:
    """``node001 by rack1, waits for approval``, or why there is none."""
    if proposal is None:
        return "-"
    if proposal.slot is None or proposal.rule is None:
        return proposal.why
    address = f" ({proposal.slot.address})" if proposal.slot.address else ""
    waits = "waits for approval" if proposal.rule.approve else "at its next boot"
    return f"{proposal.slot.name}{address} by {proposal.rule.name}, {waits}"


def moment(seconds: float) -> str:
    """In the time of this server."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _plain(proposal: Proposal | None) -> dict[str, object] | None:
    if proposal is None:
        return None
    slot, rule = proposal.slot, proposal.rule
    return {
        "name": slot.name if slot else None,
        "address": str(slot.address) if slot and slot.address else None,
        "rule": rule.name if rule else None,
        "approve": rule.approve if rule else None,
        "why": proposal.why,
    }
