"""``imaged approve``: let machines become what the rules propose."""

import click

from imaged.admin import discovery
from imaged.cli import naming
from imaged.cli.context import Context
from imaged.model.errors import BadInput, NotFound


@click.command("approve")
@click.argument("machines", nargs=-1, metavar="[MACHINES]...")
@click.option("--all", "everything", is_flag=True, help="Every machine that a rule has a place for.")
@click.pass_obj
def command(context: Context, machines: tuple[str, ...], everything: bool) -> None:
    """Let MACHINES (MACs, serial numbers) become the nodes that `imaged lsmachine` proposes by the rules.

    All of them become nodes, or none does.
    """
    if bool(machines) is everything:
        raise BadInput("name machines, or say --all")
    desk = context.desk
    rules = discovery.read_rules(desk.state)
    if not rules:
        raise NotFound("there are no rules", where=str(desk.state.rules), hint="docs/nodes.md says how to write some.")
    meant = naming.meant(desk.machines.nobodys(), machines)
    named = discovery.approve(desk, rules, None if everything else [each.mac for each in meant])
    for each in named:
        click.echo(naming.line(each))
    if not named:
        click.echo("No machine waits for approval.")
