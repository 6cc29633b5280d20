"""``imaged mvimage``: another name for an image."""

import click

from imaged.admin import images
from imaged.cli.context import Context


@click.command("mvimage")
@click.argument("name")
@click.argument("target", metavar="NEW")
@click.pass_obj
def command(context: Context, name: str, target: str) -> None:
    """Rename the image NAME to NEW, with its versions and channels. Refused while a node uses it.

    Overrides of the image and a disk layout that is called as it is keep their names.
    """
    images.rename(context.desk, name, target)
    click.echo(f"{name} is {target} now")
    for kept in (context.state.root / "overrides/image" / name, context.state.layouts / f"{name}.yaml"):
        if kept.exists():
            click.echo(f"{kept} keeps its name; `mv` it if it belongs to {target}.", err=True)
