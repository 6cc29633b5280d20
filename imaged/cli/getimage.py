"""``imaged getimage``: a golden image from a running machine."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from imaged.admin.desk import Desk
from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.cli.phases import Phases
from imaged.model.capture import Golden, GoldenFacts
from imaged.model.codec import to_plain
from imaged.model.errors import BadInput, Denied, ImagedError
from imaged.model.image import Version
from imaged.model.names import DEFAULT_CHANNEL, channel_name, image_name, layout_name
from imaged.model.size import format_size
from imaged.origins import golden as origin
from imaged.origins.golden import Captured, Client, Watch
from imaged.planning.build import doubtful, unfit
from imaged.planning.capture import CapturePlan, Wishes, plan
from imaged.planning.capture_layout import draft
from imaged.planning.capture_rsync import Change
from imaged.planning.capture_show import changing_text, dry_run_text
from imaged.planning.excludes import ALWAYS, DEFAULT, Kind
from imaged.planning.platforms import efis
from imaged.planning.rsync_filter import admin_rule, admin_rules
from imaged.store import durable, layouts
from imaged.store.damage import Damaged
from imaged.store.events import Events
from imaged.store.images import Images
from imaged.store.tree import Tree
from imaged.store.working import Working

_KINDS = [kind.value for kind in Kind]


@click.command("getimage")
@click.argument("host")
@click.option("--image", "name", required=True, help="Name of the image; a new version if it is there already.")
@click.option("--channel", default=DEFAULT_CHANNEL, show_default=True, help="The channel to move to the new version.")
@click.option(
    "--exclude", "rules", multiple=True, metavar="P",
    help="Leave out what rsync's pattern P matches; '+ P' takes it after all. May be given again; the first wins.",
)  # fmt: skip
@click.option(
    "--exclude-file", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
    help="A file of such patterns, one in a line. May be given again.",
)  # fmt: skip
@click.option(
    "--no-default-excludes", "taken", multiple=True, type=click.Choice([*_KINDS, "all"]), metavar="KIND",
    help=f"Take a kind that is left out: {', '.join(k for k in _KINDS if Kind(k) in DEFAULT - ALWAYS)}, or all.",
)  # fmt: skip
@click.option(
    "--exclude-kind", "left", multiple=True, type=click.Choice(_KINDS), metavar="KIND",
    help=f"Leave out a kind that is taken: {', '.join(k for k in _KINDS if Kind(k) not in DEFAULT)}.",
)  # fmt: skip
@click.option("--layout", help="Name of the disk layout to draft; the image's name without it.")
@click.option("--update-layout", is_flag=True, help="Draft it anew, over the one that is there.")
@click.option("--ssh-user", default="", help="Log in as this user; without it as root, or as ssh_config(5) says.")
@click.option("--ssh-port", type=click.IntRange(1, 65535), help="Where its sshd listens.")
@click.option("--ssh-option", "options", multiple=True, metavar="KEY=VALUE", help="Any option of ssh_config(5).")
@click.option("--sudo", is_flag=True, help="That user is not root but may use sudo without a password.")
@click.option("--daemon", is_flag=True, help="Not by ssh: HOST runs what `imaged prepareclient` printed.")
@click.option("--dry-run", "-n", is_flag=True, help="Only list what would be captured, what left out, and why.")
@click.pass_obj
def command(
    context: Context, host: str, name: str, channel: str, rules: tuple[str, ...], files: tuple[Path, ...],
    taken: tuple[str, ...], left: tuple[str, ...], layout: str | None, update_layout: bool, ssh_user: str,
    ssh_port: int | None, options: tuple[str, ...], sudo: bool, daemon: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Capture the running machine HOST as the next version of an image. Nothing is changed there.

    HOST needs rsync and a shell, and root must be able to log in by ssh ([USER@]HOST; or see --sudo). rsync://HOST:PORT
    is a machine where `imaged prepareclient` opened a daemon. Run it again to capture again: only what changed is
    moved. What was interrupted goes on where it stopped.
    """
    image_name(name)
    channel_name(channel)
    target = layout_name(layout or name)
    golden = _golden(host, ssh_user, ssh_port, options, sudo=sudo, daemon=daemon)
    wishes = Wishes(_kinds(taken, left), _rules(rules, files))
    if os.geteuid() != 0:
        raise Denied("only root can make an image: its files belong to many users", hint="Run it with sudo.")
    os.umask(0o022)
    images = context.desk.images
    with (
        cleared_away(),
        _log(context.state.logs, name) as log,
        _explained(log),
        origin.reach(golden, _noting(log)) as client,
    ):
        facts = client.facts()
        captured = plan(facts, wishes)
        last = images.versions(name)[-1:]
        against = images.tree(last[0]) if last else None
        if dry_run:
            compared = client.compare(captured, against or client.scratch / "nothing", hidden=True)
            ref, size = last[0].ref if last else "", compared.stats.get("Total file size", 0)
            click.echo(dry_run_text(golden, facts, captured, compared.changes, compared.hidden, ref, size))
            return
        version, took = _capture(client, facts, captured, images, name, against)
        images.publish(version, channel)
        client.end()
        text = draft(facts, captured, name, _held(images, version, captured), uefi=bool(efis(version.facts)))
        drafted = _draft(context.desk, target, text, again=update_layout)
        warnings = (*captured.warnings, *unfit(version.facts), *doubtful(version.facts))
        _tell(version, channel, warnings, took, drafted, log.name)


def _golden(host: str, user: str, port: int | None, options: tuple[str, ...], *, sudo: bool, daemon: bool) -> Golden:
    """``rsync://HOST[:PORT]``, ``USER@HOST`` or ``HOST``."""
    if host.startswith("rsync://") or daemon:
        if user or options or sudo:
            raise BadInput("a daemon is not reached by ssh", hint="Leave out the options of ssh.")
        rest = host.removeprefix("rsync://").split("/")[0]
        found, colon, number = rest.rpartition(":")
        if rest.endswith("]") or not colon or (found.count(":") and not found.startswith("[")):
            found, number = rest, ""
        if number and not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
            raise BadInput(f"{number!r} is not a port", hint="Write it like rsync://node1:8730.")
        return Golden(found.strip("[]"), port=int(number or port or 8730), daemon=True)
    before, _, after = host.rpartition("@")
    for option in options:
        if not option.partition("=")[2]:
            raise BadInput(f"{option!r} is no option of ssh", hint="Write it like --ssh-option IdentityFile=/root/key.")
    return Golden(after, user or before, port or 0, options, sudo)


def _kinds(taken: tuple[str, ...], left: tuple[str, ...]) -> frozenset[Kind]:
    kinds = frozenset[Kind]() if "all" in taken else DEFAULT - {Kind(each) for each in taken}
    return kinds | {Kind(each) for each in left}


def _rules(given: tuple[str, ...], files: tuple[Path, ...]) -> tuple[str, ...]:
    """Those of the command line first."""
    rules = [admin_rule(rule) for rule in given]
    for path in files:
        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise BadInput(error.strerror or str(error), where=str(path)) from None
        rules += admin_rules(text, where=str(path))
    return tuple(rules)


def _capture(
    client: Client, facts: GoldenFacts, captured: CapturePlan, images: Images, name: str, last: Path | None
) -> tuple[Version, Captured]:
    with images.working(name, resume=True) as working, _Progress(0 if last else captured.inodes) as progress:
        if working.resumed:
            click.echo("An interrupted capture goes on: what is here already is not moved again.", err=True)
        watch = Watch(progress.begin, progress.moved)
        took = client.capture(captured, working, last, watch)

        def sealed() -> Version:
            origin.finish(Tree(working.tree))
            _record(working, client.golden, facts, captured)
            progress.begin("seal")
            said = f"capture of {facts.hostname} ({client.golden})"
            return images.seal(working, origin=said, on_hashed=progress.count)

        try:
            version = sealed()
        except Damaged as error:  # what is unchanged there was taken from the last version, where a disk has changed it
            client.note(f"{error}")
            click.echo(f"Taken from the golden client again: {error.what}.", err=True)
            for path in error.paths:
                (working.tree / path).unlink()
            took = client.capture(captured, working, None, watch)
            version = sealed()
    return version, took


def _record(working: Working, golden: Golden, facts: GoldenFacts, captured: CapturePlan) -> None:
    """``capture.json`` beside the manifest: what the golden client was, and what was taken of it."""
    record = {"golden": str(golden), "facts": to_plain(facts), "plan": to_plain(captured)}
    durable.write_file(working.directory / "capture.json", json.dumps(record, indent=2, sort_keys=True) + "\n")


def _held(images: Images, version: Version, captured: CapturePlan) -> dict[str, int]:
    """Bytes of the image below each captured mount point, as ``imaged.planning.sizes`` will ask for them."""
    points = sorted((kept.at for kept in captured.kept), key=len, reverse=True)
    held = dict.fromkeys(points, 0)
    for entry in images.entries(version):
        path = f"/{entry.path}"
        held[next(at for at in points if path.startswith(at.rstrip("/") + "/"))] += entry.size
    return held


def _draft(desk: Desk, name: str, text: str, *, again: bool) -> Path | None:
    """Where the layout was written; None where one is that people may have changed."""
    if (desk.state.layouts / f"{name}.yaml").exists() and not again:
        return None
    return layouts.write(desk.state.layouts, name, text, Events(desk.engine).change)


def _tell(
    version: Version, channel: str, warnings: tuple[str, ...], took: Captured, drafted: Path | None, log: str
) -> None:
    click.echo(
        f"{version.ref} is {channel} now: {format_size(version.bytes)} in {version.entries} entries, "
        f"{version.facts.os_name or 'unknown system'}, {version.facts.arch or 'unknown processor'}"
    )
    click.echo(f"Moved: {took.files} files, {format_size(took.received)}. Every path: {log}")
    if drafted:
        click.echo(f"A disk layout was drafted from its disks: {drafted}. Read it before you use it.")
    for warning in warnings:
        click.echo(f"Warning: {warning}.", err=True)
    if took.changing:
        click.echo(changing_text(took.changing, log), err=True)


def _noting(log: TextIO) -> Callable[[str], None]:
    def note(line: str) -> None:
        log.write(line + "\n")

    return note


@contextmanager
def _explained(log: TextIO) -> Iterator[None]:
    """The whole story is in the log."""
    try:
        yield
    except ImagedError as error:
        log.write(f"{error}\n")
        raise
    except OSError as error:  # a full disk, above all
        log.write(f"{error}\n")
        raise ImagedError(
            error.strerror or str(error), where=str(error.filename or ""), hint=f"The whole log: {log.name}"
        ) from None


@contextmanager
def _log(directory: Path, name: str) -> Iterator[TextIO]:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"getimage-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.log"
    with path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1) as log:
        yield log


class _Progress(Phases):
    """Beside files that were hashed, paths that were moved, of about ``expected`` (0: nobody knows)."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._expected = expected

    def moved(self, _: Change) -> None:
        """One more path was moved."""
        self._count += 1
        self.detail(f"{self._count} paths moved" + (f" of about {self._expected}" if self._expected else ""))
