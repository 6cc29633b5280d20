"""``imaged boot``: what nodes do at their next network boot."""

import click

from imaged.cli import reach
from imaged.cli.context import Context
from imaged.model.codec import to_json
from imaged.model.errors import BadInput
from imaged.model.node import BootAction
from imaged.model.wishes import Then, Wishes, parse_breaks, parse_plan
from imaged.store.database import open_database
from imaged.store.nodes import Nodes


@click.command("boot")
@click.argument("names", nargs=-1, required=True, metavar="NODES...")
@click.argument("action", type=click.Choice([action.value for action in BootAction]))
@click.option(
    "--break", "breaks", multiple=True, metavar="PHASE[:before|after]",
    help="With install: wait there, with a shell on the console and by ssh. Repeat for more.",
)  # fmt: skip
@click.option(
    "--then", type=click.Choice([then.value for then in Then]), default=Then.REBOOT.value, show_default=True,
    help="With install: how it ends.",
)  # fmt: skip
@click.option(
    "--plan", default="", metavar="HASH",
    help="With install of one node: only this plan (see `imaged plan`), nothing if its hardware needs another.",
)  # fmt: skip
@click.pass_obj
def command(
    context: Context, names: tuple[str, ...], action: str, breaks: tuple[str, ...], then: str, plan: str
) -> None:
    """At their next network boot let NODES (node01, node[01-64], @rack1) be installed (install), start from their own
    disks (local), or open a shell in the boot ramdisk and nothing more (rescue).

    --break, --then and --plan hold for the next install that is carried through, by whatever way it is started.
    """
    wishes = Wishes(parse_breaks(breaks), Then(then), parse_plan(plan))
    if BootAction(action) is not BootAction.INSTALL and wishes != Wishes():
        raise BadInput(f"--break, --then and --plan go with install, not with {action}")
    engine = open_database(context.state.database)
    names = tuple(node.name for node in reach.named(engine, names))
    if plan and len(names) > 1:
        raise BadInput("a plan is of one node only", where="--plan")
    nodes = Nodes(engine)
    nodes.set_action(names, BootAction(action))
    for name in names:
        nodes.keep(name, wishes=to_json(wishes) if wishes != Wishes() else None)
        waits = f", waits {', '.join(map(str, wishes.breaks))}" if wishes.breaks else ""
        ends = f", then {then}" if wishes.then is not Then.REBOOT else ""
        only = f", only as plan {plan}" if plan else ""
        click.echo(f"{name}: next network boot: {action}{waits}{ends}{only}")
