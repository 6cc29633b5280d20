"""``imaged rmimage``: remove versions, or whole images."""

import click

from imaged.admin import images
from imaged.cli.context import Context


@click.command("rmimage")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE[@VERSION]...")
@click.option(
    "--force", is_flag=True, help="Also what nodes use or somebody edits, but never what one copies just now."
)
@click.pass_obj
def command(context: Context, names: tuple[str, ...], force: bool) -> None:
    """Remove versions (compute@3), or images with all their versions (compute). All of them, or none.

    Refused for what a node is to run, runs or copies, for a version that a channel means, and for one that somebody
    keeps an edited copy of. An interrupted capture of an image that has no version yet is removed by its name as well.
    """
    images.remove(context.desk, names, force=force)
    for text in dict.fromkeys(names):
        click.echo(f"{text}: removed")
