"""``imaged importimage``: a golden image from a file or a directory."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.cli.phases import Phases
from imaged.model.errors import BadInput, CannotPlan, Denied, ImagedError
from imaged.model.names import DEFAULT_CHANNEL, channel_name, image_name
from imaged.model.size import format_size
from imaged.origins import importing
from imaged.origins.importing import Imported, Judged, Source
from imaged.origins.oci import Wanted
from imaged.origins.unpacking import Watch
from imaged.planning.build import doubtful
from imaged.store.shown import shown


@click.command("importimage")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--image", "name", required=True, help="Name of the image; a new version if it is there already.")
@click.option("--tag", default="", help="Of several container images: the one with this name or tag.")
@click.option("--arch", default="", help="Of several container images: for this processor; without it, this machine's.")
@click.option("--partition", help="Of a disk with several roots: a partition's number, VG/LV, a label or a UUID.")
@click.option(
    "--channel", "--publish", "channel", default=DEFAULT_CHANNEL, show_default=True,
    help="The channel to move to the new version.",
)  # fmt: skip
@click.option("--allow-unbootable", "unbootable", is_flag=True, help="Seal also what no machine could start from.")
@click.option("--dry-run", "-n", is_flag=True, help="Only say what it is, what is in it and what is missing.")
@click.pass_obj
def command(
    context: Context, source: Path, name: str, tag: str, arch: str, partition: str | None, channel: str,
    unbootable: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Make the root that is in SOURCE the next version of an image, seal and publish it. SOURCE is only read.

    SOURCE is a tar archive (also gz, bz2, xz, zst), a squashfs, a directory (a SystemImager image as well), a disk
    (raw, qcow2, vmdk), or a container image: an OCI layout or archive, or what `docker save` writes. What it is, its
    content tells, never its name.
    """
    image_name(name)
    channel_name(channel)
    if not source.exists():
        raise BadInput("No such file or directory", where=str(source))
    if os.geteuid() != 0:
        raise Denied("only root can import an image: its files belong to many users", hint="Run it with sudo.")
    os.umask(0o022)
    images = context.desk.images
    wanted = Source(source, Wanted(tag, arch, platform.machine()), partition, context.state.boot)
    with (
        cleared_away(),
        _log(context.state.logs, name) as log,
        _explained(log),
        images.working(name) as working,
        _cleared(working.tree),
        Phases() as phases,
    ):
        phases.begin("unpack")
        imported = importing.fill(wanted, working.tree, Watch(lambda line: _note(log, line), phases.detail))
        phases.begin("clean")
        judged = importing.finish(working.tree)
        if dry_run:
            phases.end()
            _show(source, imported, judged)
            return
        if judged.faults and not unbootable:
            hint = "Put it right (docs/importing.md), or import it all the same with --allow-unbootable."
            raise CannotPlan("\n  ".join(judged.faults), where=str(source), hint=hint)
        phases.begin("seal")
        origin = f"import of {shown(source.name or str(source.resolve()))} ({imported.kind})"
        version = images.seal(working, origin=origin, on_hashed=phases.count)
    images.publish(version, channel)
    click.echo(
        f"{version.ref} is {channel} now: {format_size(version.bytes)} in {version.entries} entries, "
        f"{shown(version.facts.os_name) or 'unknown system'}, {version.facts.arch or 'unknown processor'}"
    )
    _tell(imported, (*judged.faults, *doubtful(version.facts)))


def _show(source: Path, imported: Imported, judged: Judged) -> None:
    facts = judged.facts
    kernels = ", ".join(kernel.version for kernel in facts.kernels) or "none"
    click.echo(f"{source} is a {imported.kind}" if imported.kind[0] not in "Oo" else f"{source} is an {imported.kind}")
    click.echo(f"  System   {shown(facts.os_name) or 'unknown'}, {facts.arch or 'unknown processor'}")
    click.echo(f"  Size     {format_size(judged.bytes)} in {judged.entries} entries")
    click.echo(f"  Kernels  {shown(kernels)}")
    click.echo(f"  GRUB     {', '.join(facts.grub_platforms) or 'none'}")
    if judged.faults:
        click.echo("Missing, so that no machine could be installed from it:")
    for fault in judged.faults:
        click.echo(f"  {shown(fault)}")
    _tell(imported, doubtful(facts))


def _tell(imported: Imported, others: tuple[str, ...]) -> None:
    for note in imported.notes:
        click.echo(f"{note}.", err=True)
    for warning in (*imported.warnings, *others):
        click.echo(f"Warning: {shown(warning)}.", err=True)


def _note(log: TextIO, line: str) -> None:
    log.write(line + "\n")


@contextmanager
def _cleared(tree: Path) -> Iterator[None]:
    """What an archive brought goes before the store clears its place: it may be deeper than Python's stack."""
    try:
        yield
    except BaseException:
        importing.discard(tree)
        raise


@contextmanager
def _explained(log: TextIO) -> Iterator[None]:
    """The whole story is in the log."""
    try:
        yield
    except ImagedError as error:
        _note(log, str(error))
        raise
    except RecursionError:
        raise BadInput("directories are nested too deep in it", hint=f"The whole log: {log.name}") from None
    except OSError as error:  # a full disk, names that are too long
        _note(log, str(error))
        where = shown(os.fsdecode(error.filename or ""))
        raise ImagedError(error.strerror or str(error), where=where, hint=f"The whole log: {log.name}") from None


@contextmanager
def _log(directory: Path, name: str) -> Iterator[TextIO]:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"importimage-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.log"
    with path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1) as log:
        yield log
