"""``imaged lsgroup``: groups, in the order in which they are applied."""

import json

import click

from imaged.admin.ranges import folded
from imaged.cli.columns import columns
from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.store.layers import readable

_TITLES = ("group", "priority", "image", "layout", "console", "first boot", "variables", "nodes")


@click.command("lsgroup")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List groups, what they say and their nodes, in the order in which they are applied: the last one wins."""
    groups, members = context.desk.groups.all(), context.desk.groups.members()
    if as_json:
        plain = [
            {"name": each.name, "priority": each.priority, **to_plain(each.setup), "nodes": members.get(each.name, ())}
            for each in groups
        ]
        click.echo(json.dumps(plain, indent=2))
    elif not groups:
        click.echo("No groups yet. `imaged addgroup NAME` defines one.")
    else:
        rows = []
        for each in groups:
            variables = " ".join(f"{name}={text}" for name, text in sorted(each.setup.variables.items()))
            said = (str(each.setup.image), each.setup.layout, each.setup.console, each.setup.first, readable(variables))
            cells = (*said, folded(members.get(each.name, ())))
            rows.append((each.name, str(each.priority), *(cell or "-" for cell in cells)))
        click.echo(columns(_TITLES, rows))
