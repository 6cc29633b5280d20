"""``imaged enter``: a shell, or one command, in a working copy of an image."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from attrs import frozen

from imaged import process
from imaged.cli.context import Context
from imaged.model.errors import CannotPlan, Conflict, Denied, ImagedError
from imaged.model.image import Version
from imaged.model.names import ImageRef, channel_name
from imaged.origins import chroot
from imaged.planning.build import unfit
from imaged.planning.clean import CLEAN
from imaged.planning.leaving import After, leave
from imaged.store import changes, edit, edits, facts, seal
from imaged.store.changes import Changes
from imaged.store.edits import Edit
from imaged.store.images import Images, Working, utc_now
from imaged.store.tree import Tree

_SHOWN = 5  # paths of each kind
_PROMPT = "Seal a new version, keep the copy for later, discard it, or go back in? [s/k/d/b]"
_ANSWERS = {"s": After.SEAL, "k": After.KEEP, "d": After.DISCARD, "b": After.ASK}


class _Kept(Exception):
    """Leaves ``Images.working`` without a version and with the copy still there."""


@click.command("enter")
@click.argument("image")
@click.argument("argv", metavar="[-- COMMAND...]", nargs=-1)
@click.option("--seal", "wished", flag_value="seal", help="Make a new version of the copy.")
@click.option("--keep", "wished", flag_value="keep", help="Leave the copy for the next `enter`.")
@click.option("--discard", "wished", flag_value="discard", help="Throw the copy away.")
@click.option("--channel", help="The channel to move to the new version.")
@click.option("--message", default="", help="Why; it becomes part of the version's origin.")
@click.option("--force", is_flag=True, help="Seal also if COMMAND failed, or what cannot be installed.")
@click.option("--fresh", is_flag=True, help="Begin anew; a copy that was kept is lost.")
@click.pass_obj
def command(
    context: Context, image: str, argv: tuple[str, ...], wished: str | None, channel: str | None, message: str,
    force: bool, fresh: bool,
) -> int:  # fmt: skip
    """Edit IMAGE (NAME, NAME@CHANNEL or NAME@VERSION): a shell as its root, or one COMMAND, in a working copy.

    Versions never change: what is different at the end becomes a new one, if you say so. Without --seal, --keep or
    --discard you are asked at the end; where nobody can be asked, the copy is kept. The exit code is COMMAND's.
    """
    ref = ImageRef.parse(image)
    order = _Order(argv, After(wished or "ask"), channel and channel_name(channel), message, force)
    if os.geteuid() != 0:
        raise Denied("only root can enter an image: its files belong to many users", hint="Run it with sudo.")
    os.umask(0o022)  # what is written inside is for nodes, whose daemons must read it
    images = Images(context.state.images)
    wanted = images.resolve(ref)
    code = 0
    try:
        with _working(images, wanted, fresh) as working:
            base = _begin(images, wanted, working, exactly="@" in image)
            while True:
                code, after = _visit(images, base, working, order)
                if after is not After.ASK:
                    break
            if after is After.KEEP:
                raise _Kept
            if after is After.SEAL:
                _seal(images, base, working, order)
    except _Kept:
        _say(f"The copy is kept: `imaged enter {wanted.image}` goes on with it.")
    return code


@frozen
class _Order:
    """The command line, read."""

    argv: tuple[str, ...]
    wished: After
    channel: str | None
    message: str
    force: bool


@contextmanager
def _working(images: Images, wanted: Version, fresh: bool) -> Iterator[Working]:
    """One editor at a time, and a second one hears who and since when."""
    import shutil

    with images.working(wanted.image) as working:
        shutil.rmtree(working.tree)
        process.run(("cp", "-a", "--reflink=auto", str(images.tree(wanted)), str(working.tree)))
        yield working


def _begin(images: Images, wanted: Version, working: Working, *, exactly: bool) -> Version:
    """Mark a new copy, or take up a kept one. The version that the copy was made of."""
    mark = edits.read(working.directory)
    if mark is None:
        edits.write(working.directory, Edit(wanted.number, _user(), utc_now()))
        _say(f"This is a working copy of {wanted.ref}, {wanted.facts.os_name or 'an unknown system'}.")
        return wanted
    if exactly and mark.base != wanted.number:
        raise Conflict(
            f"{mark.who} left a copy of version {mark.base} at {mark.since}",
            where=wanted.image,
            hint=f"`imaged enter {wanted.image}` goes on with it; --fresh throws it away.",
        )
    _say(f"Going on with the copy of {wanted.image}@{mark.base} that {mark.who} made at {mark.since}.")
    if mark.base != wanted.number:
        _say(f"  Meanwhile {wanted.image} means {wanted.ref}; --fresh begins anew from that.")
    return images.resolve(ImageRef(wanted.image, version=mark.base))


def _visit(images: Images, base: Version, working: Working, order: _Order) -> tuple[int, After]:
    """Once in and out: how the command ended, and what becomes of the copy; ``ask`` means: in again."""
    tree = Tree(working.tree)
    with chroot.surroundings(tree):
        shown = chroot.for_terminal(tree, base.image)
        code = process.attach(chroot.inside(tree, order.argv or chroot.shell(tree), shown))
    if not order.argv:
        code = 0  # a shell ends with whatever its last command said
    for step in CLEAN:
        edit.apply(tree, step, _nothing_runs)
    different = changes.between(images.entries(base), seal.walk(working.tree))
    _show(base, different)
    leaving = leave(order.wished, code=code, changed=bool(different), terminal=sys.stdin.isatty(), force=order.force)
    if leaving.reason:
        _say(leaving.reason)
    return code, _asked() if leaving.after is After.ASK else leaving.after


def _asked() -> After:
    while True:
        answer = _prompt(_PROMPT).lower()[:1]
        if answer in _ANSWERS:
            return _ANSWERS[answer]


def _prompt(text: str) -> str:
    """Ctrl-D and Ctrl-C lose nobody's work."""
    try:
        said: str = click.prompt(text, default="", show_default=False, err=True)
        return said.strip()
    except click.Abort:
        _say("")
        raise _Kept from None


def _seal(images: Images, base: Version, working: Working, order: _Order) -> None:
    faults = set(unfit(facts.read(Tree(working.tree)))) - set(unfit(base.facts))
    if faults and not order.force:
        hint = f"Mend it (`imaged enter {base.image}`: the copy is kept), or seal it all the same with --force."
        raise CannotPlan("\n  ".join(sorted(faults)), where=base.image, hint=hint)
    message, channel = order.message, order.channel
    if order.wished is After.ASK:
        message = message or _prompt("What changed, for others to read (may be empty)")
        channel = channel or _channel()
    origin = f"edit of {base.ref} by {_user()}" + (f": {message}" if message else "")
    mark = edits.read(working.directory)
    edits.clear(working.directory)
    try:
        version = images.seal(working, origin=origin)
    except BaseException:
        if mark is not None:
            edits.write(working.directory, mark)
        raise
    _say(f"Sealed {version.ref}.")
    if channel:
        images.publish(version, channel)
        _say(f"{version.ref} is {channel} now.")


def _channel() -> str:
    while True:
        said = _prompt("Channel to move to it (empty: none)")
        try:
            return said and channel_name(said)
        except ImagedError as error:
            _say(str(error))


def _show(base: Version, different: Changes) -> None:
    kinds = (("+", different.added), ("~", different.changed), ("-", different.deleted))
    counts = f"{len(different.added)} added, {len(different.changed)} changed, {len(different.deleted)} deleted"
    _say(f"Since {base.ref}: {counts}.")
    for sign, paths in kinds:
        for path in paths[:_SHOWN]:
            _say(f"  {sign} /{path}")
        if len(paths) > _SHOWN:
            _say(f"  {sign} and {len(paths) - _SHOWN} more")


def _user() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _nothing_runs(step: object) -> None:
    raise AssertionError(step)


def _say(text: str) -> None:
    """Beside the command's own output, which may go into a pipe."""
    click.echo(text, err=True)
