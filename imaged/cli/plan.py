"""``imaged plan``: print what an install would do."""

import time
from pathlib import Path

import click

from imaged.cli.context import Context
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, NotFound
from imaged.model.hardware import Inventory
from imaged.planning.install import plan_hash
from imaged.planning.leftovers import leftovers
from imaged.planning.show import plan_text, presentable


@click.command("plan")
@click.argument("name", metavar="NODE")
@click.option(
    "--inventory", type=click.Path(path_type=Path), help="Hardware from a JSON file instead of the node's own."
)
@click.option("--json", "as_json", is_flag=True, help="The plan as the agent gets it, but for scripts.")
@click.pass_obj
def command(context: Context, name: str, inventory: Path | None, as_json: bool) -> None:
    """Print the plan that an install of NODE would carry out on the hardware it last reported. Touches nothing."""
    provisioning = Provisioning(context.settings, time.time)
    node = provisioning.nodes.get(name)
    hardware = _read(inventory) if inventory else provisioning.nodes.inventory(name)
    if hardware is None:
        raise NotFound(
            "its hardware is not known yet",
            where=name,
            hint="It is reported at the node's first install; until then give one with --inventory FILE.",
        )
    plan = provisioning.plan(node, hardware)
    if as_json:
        click.echo(to_json(presentable(plan), indent=2))
    else:
        click.echo(plan_text(plan, plan_hash(plan), leftovers(provisioning.facts_of(plan), plan)))


def _read(path: Path) -> Inventory:
    try:
        return from_json(path.read_bytes(), Inventory, where=str(path))
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from None
