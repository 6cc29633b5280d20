"""``imaged importlayout``: a disk layout of another program as one of ours."""

from pathlib import Path

import click

from imaged.cli.context import Context
from imaged.model.errors import BadInput, Conflict, ImagedError
from imaged.model.names import layout_name
from imaged.planning.imports.foreign import Imported
from imaged.planning.imports.read import LARGEST, Source, import_layout
from imaged.planning.layout_text import layout_text, printable
from imaged.store import durable, layouts
from imaged.store.events import Events


@click.command("importlayout")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--from", "source", type=click.Choice([each.value for each in Source]), default=Source.AUTO.value,
    show_default=True, help="Whose it is: autoinstallscript.conf or disks-layout.xml, `sfdisk -d`, a .disk file.",
)  # fmt: skip
@click.option("--name", help="Write it as this layout of the site, instead of printing it.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file instead.")
@click.option("--replace", is_flag=True, help="Over the one that is there.")
@click.pass_obj
def command(context: Context, file: Path, source: str, name: str | None, output: Path | None, replace: bool) -> None:
    """Make a disk layout of SystemImager, OSCAR or sfdisk into one of imaged (FILE may be - for what is piped in).

    Whatever cannot be carried over is told line by line, and stands at the top of what is written. Read it before you
    use it: `imaged plan NODE` shows what it makes of a node's disks. Exit code 1: nothing of FILE could be used.
    """
    if name and output:
        raise BadInput("--name and --output are two places", hint="Leave one of them out.")
    target = context.state.layouts / f"{layout_name(name)}.yaml" if name else output
    if target and target.exists() and not replace:
        raise Conflict("there is a layout already", where=str(target), hint="Write over it with --replace.")
    imported = _imported(_text(file), Source(source), name or "imported", str(file))
    for note in imported.notes:
        click.echo(f"{file}: {printable(str(note))}", err=True)
    text = layout_text(imported.layout, _comments(imported, file.name if file.name != "-" else "standard input"))
    if target is None:
        click.echo(text, nl=False)
        return
    _write(context, name, target, text)
    click.echo(f"{target}: written, {len(imported.notes)} notes. Read it before you use it.", err=True)


def _text(file: Path) -> str:
    """Of any encoding: what is not UTF-8 was Latin 1 where these files come from."""
    try:
        with click.open_file(str(file), "rb") as stream:
            data: bytes = stream.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file)) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _imported(text: str, source: Source, name: str, where: str) -> Imported:
    try:
        return import_layout(text, source, name)
    except BadInput as error:
        raise ImagedError(error.what, where=where, hint=error.hint) from None


def _comments(imported: Imported, file: str) -> list[str]:
    lines = [f"Imported from {file}. Every key: docs/layouts.md."]
    if imported.notes:
        lines.append("What is not as it was there:")
    return lines + [f"- {note}" for note in imported.notes]


def _write(context: Context, name: str | None, target: Path, text: str) -> None:
    try:
        if name:
            layouts.write(context.state.layouts, name, text, Events(context.desk.engine).change)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(target, text)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(target)) from None
