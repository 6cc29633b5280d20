"""``imaged pruneimage``: remove the versions that nobody needs any more."""

import click

from imaged.cli.context import Context
from imaged.model.errors import Conflict, NotFound
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.usage import needed, users


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
    images = Images(context.state.images)
    for name in names:
        if not images.numbers(name):
            raise NotFound(f"there is no image {name!r}", hint="`imaged lsimage` shows the images there are.")
    used = users(open_database(context.state.database), images)
    refused: list[Conflict] = []
    gone = 0
    for name in dict.fromkeys(names or images.names()):
        try:
            gone += _prune(images, name, keep, used, dry_run=dry_run)
        except Conflict as error:  # somebody makes a version of this one; the others need not wait
            refused.append(error)
    if not gone and not refused:
        click.echo("Nothing to remove.")
    for other in refused[1:]:
        click.echo(f"imaged: {other}", err=True)
    if refused:
        raise refused[0]


def _prune(images: Images, name: str, keep: int, used: dict[str, tuple[str, ...]], *, dry_run: bool) -> int:
    """How many versions went, or would."""
    numbers, reasons = images.numbers(name), needed(images, name)
    wanted = {number: (*reasons.get(number, ()), *used.get(f"{name}@{number}", ())) for number in numbers}
    spared = set(numbers[len(numbers) - keep :] if keep else ()) | {number for number, why in wanted.items() if why}
    spared |= set() if spared else {numbers[-1]}
    for number in numbers:
        if number not in spared:
            if not dry_run:
                images.remove(name, number)
            click.echo(f"{name}@{number}: {'would be removed' if dry_run else 'removed'}")
        elif dry_run:
            click.echo(f"{name}@{number}: stays: {', '.join(wanted[number]) or 'among the newest'}")
    return len(set(numbers) - spared)
