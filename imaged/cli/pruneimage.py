"""``imaged pruneimage``: remove the versions that nobody needs any more."""

import click

from imaged.admin import images
from imaged.cli.context import Context
from imaged.model.errors import Conflict, NotFound
from imaged.store.usage import users


@click.command("pruneimage")
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.option("--keep", type=click.IntRange(0), default=3, show_default=True, help="The newest so many stay.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would go, and why the rest stays; remove nothing.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], keep: int, dry_run: bool) -> None:
    """Remove old versions of IMAGEs (of all without a name): all but the newest, and what is used.

    What a channel means, what a rollback would go to, what somebody edits a copy of, and what a node is to run, runs or
    copies stays whatever its age. An image never loses its last version.
    """
    desk = context.desk
    for name in names:
        if not desk.images.numbers(name):
            raise NotFound(f"there is no image {name!r}", hint="`imaged lsimage` shows the images there are.")
    used = users(desk.engine, desk.images)
    refused: list[Conflict] = []
    gone = 0
    for name in dict.fromkeys(names or desk.images.names()):
        try:
            found = images.prune(desk, name, keep, used, dry_run=dry_run)
        except Conflict as error:  # somebody makes a version of this one; the others need not wait
            refused.append(error)
            continue
        gone += sum(each.goes for each in found)
        for each in found:
            if each.goes:
                click.echo(f"{each.ref}: {'would be removed' if dry_run else 'removed'}")
            elif dry_run:
                click.echo(f"{each.ref}: stays: {', '.join(each.reasons) or 'among the newest'}")
    if not gone and not refused:
        click.echo("Nothing to remove.")
    for other in refused[1:]:
        click.echo(f"imaged: {other}", err=True)
    if refused:
        raise refused[0]
