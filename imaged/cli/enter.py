"""``imaged enter``: a shell, or one command, in a working copy of an image."""

import getpass
import os
import sys
from pathlib import Path

import click
from attrs import frozen

from imaged import process
from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.model.errors import BadInput, CannotPlan, Denied, ImagedError
from imaged.model.image import Version
from imaged.model.names import ImageRef, channel_name
from imaged.origins import chroot
from imaged.planning.build import doubtful, unfit
from imaged.planning.clean import CLEAN
from imaged.planning.leaving import After, leave
from imaged.store import changes, copies, edit, edits, facts, seal
from imaged.store.changes import Changes
from imaged.store.edits import Copy
from imaged.store.images import Images
from imaged.store.shown import shown
from imaged.store.tree import Tree

_SHOWN = 5  # paths of each kind
_PROMPT = "Seal a new version, keep the copy for later, discard it, or go back in? [s/k/d/b]"
_KEPT = "The copy is kept: `imaged enter {}` goes on with it."
_ANSWERS = {"s": After.SEAL, "k": After.KEEP, "d": After.DISCARD, "b": After.ASK}


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
    if order.wished in (After.KEEP, After.DISCARD) and (channel or message):
        raise BadInput("--channel and --message are for a version, and nothing is to be sealed", where=f"--{wished}")
    if os.geteuid() != 0:
        raise Denied("only root can enter an image: its files belong to many users", hint="Run it with sudo.")
    os.umask(0o022)  # what is written inside is for nodes, whose daemons must read it
    images = context.desk.images
    wanted = images.resolve(ref)
    try:
        with edits.working_copy(images, wanted, _user(), _duplicate, exactly="@" in image, fresh=fresh) as copy:
            _say(_introduction(copy, wanted))
            code, after = _visit(images, copy, order)
            while after is After.ASK:
                code, after = _visit(images, copy, order)
            if after is After.DISCARD:
                copy.discard()
            elif after is After.SEAL:
                _seal(images, copy, order)
            else:
                _say(_KEPT.format(wanted.image))
            return code
    except click.Abort:  # Ctrl-D or Ctrl-C where something was asked
        _say("\n" + _KEPT.format(wanted.image))
        return 0


@frozen
class _Order:
    """The command line, read."""

    argv: tuple[str, ...]
    wished: After
    channel: str | None
    message: str
    force: bool


def _duplicate(tree: Path, at: Path) -> None:
    """What is half a copy goes when we are told to end; later there is work in it, and it stays."""
    with cleared_away():
        _say("Copying ...")
        copies.duplicate(tree, at)


def _introduction(copy: Copy, wanted: Version) -> str:
    base, kept = copy.base, copy.kept
    if kept is None:
        return f"This is a working copy of {base.ref}, {base.facts.os_name or 'an unknown system'}."
    text = f"Going on with the copy of {base.ref} that {kept.who} entered at {kept.since}."
    if base == wanted:
        return f"{text} --fresh begins anew."
    return f"{text}\nMeanwhile {wanted.image} means {wanted.ref}; --fresh begins anew from that."


def _visit(images: Images, copy: Copy, order: _Order) -> tuple[int, After]:
    """Once in and out: how the command ended, and what becomes of the copy; ``ask`` means: in again."""
    tree, base = Tree(copy.working.tree), copy.base
    with chroot.surroundings(tree):
        shown = chroot.for_terminal(tree, base.image)
        code = process.attach(chroot.inside(tree, order.argv or chroot.shell(tree), shown))
    if not order.argv:
        code = 0  # a shell ends with whatever its last command said
    for step in CLEAN:
        edit.apply(tree, step, _nothing_runs)
    different = changes.between(images.entries(base), seal.walk(tree.root))
    _show(base, different)
    leaving = leave(order.wished, code=code, changed=bool(different), terminal=sys.stdin.isatty(), force=order.force)
    if leaving.reason:
        _say(f"{leaving.reason[0].upper()}{leaving.reason[1:]}.")
    elif code:
        _say(f"The command ended with {code}.")
    return code, _asked() if leaving.after is After.ASK else leaving.after


def _asked() -> After:
    while True:
        answer = _prompt(_PROMPT).lower()[:1]
        if answer in _ANSWERS:
            return _ANSWERS[answer]


def _prompt(text: str) -> str:
    said: str = click.prompt(text, default="", show_default=False, err=True)
    return said.strip()


def _seal(images: Images, copy: Copy, order: _Order) -> None:
    base, working = copy.base, copy.working
    faults = set(unfit(facts.read(Tree(working.tree)))) - set(unfit(base.facts))
    if faults and not order.force:
        hint = f"Mend it (`imaged enter {base.image}`: the copy is kept), or seal it all the same with --force."
        raise CannotPlan("\n  ".join(sorted(faults)), where=base.image, hint=hint)
    message, channel = order.message, order.channel
    if order.wished is After.ASK:
        message = message or _prompt("What changed, for others to read (may be empty)")
        channel = channel or _channel()
    origin = f"edit of {base.ref} by {_user()}" + (f": {message}" if message else "")
    _say("Sealing ...")
    version = images.seal(working, origin=origin, base=base)
    _say(f"Sealed {version.ref}.")
    for warning in set(doubtful(version.facts)) - set(doubtful(base.facts)):
        _say(f"Warning: {warning}.")
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
            _say(f"  {sign} {shown(f'/{path}')}")
        if len(paths) > _SHOWN:
            _say(f"  {sign} and {len(paths) - _SHOWN} more")


def _user() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _nothing_runs(step: object) -> None:
    raise AssertionError(step)


def _say(text: str) -> None:
    """Beside the command's own output, which may go into a pipe."""
    click.echo(text, err=True)
