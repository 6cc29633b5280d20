"""``imaged diffimage``: what is different between two versions, path by path, and why."""

import json

import click

from imaged.cli.context import Context
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.store import changes
from imaged.store.images import Images
from imaged.store.shown import shown

_DIFFERENT = 1  # exit code, as diff(1); no error here is as general as to have 1 itself


@click.command("diffimage")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, old: str, new: str, as_json: bool) -> int:
    """Show what version B (IMAGE@VERSION, IMAGE@CHANNEL) has added, changed and deleted since A.

    Exit code 0: the same; 1: different; 2 and more: an error.
    """
    images = Images(context.state.images)
    one, other = (images.resolve(ImageRef.parse(text)) for text in (old, new))
    found = changes.different(images.entries(one), images.entries(other)) if one != other else []
    if as_json:
        rows = [{"path": f"/{path}", "change": change, "what": list(what)} for change, path, what in found]
        click.echo(json.dumps({"from": one.ref, "to": other.ref, "changes": rows}))
    else:
        _show(one, other, found)
    return _DIFFERENT if found else 0


def _show(one: Version, other: Version, found: list[tuple[str, str, tuple[str, ...]]]) -> None:
    for change in ("add", "change", "delete"):
        rows = [(path, what) for kind, path, what in found if kind == change]
        if rows:
            click.echo(f"{change} ({len(rows)})")
        for path, what in rows:
            click.echo(f"  {shown(f'/{path}')}  ({', '.join(what)})")
    if not found:
        click.echo(f"{one.ref} and {other.ref} are the same")
