"""``imaged syncfiles``: users, groups and listed files kept equal on nodes and in images."""

import getpass
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from imaged.admin import syncfiles as admin
from imaged.admin.ranges import named
from imaged.cli import cluster, reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput, NotFound
from imaged.model.names import ImageRef
from imaged.model.syncfile import Item, Synced
from imaged.planning import syncfiles
from imaged.planning.answers import why_not
from imaged.planning.rollout import Rollout
from imaged.remote.fanout import Answer, fan_out

_USAGE = 2  # the agent's exit code for words that it does not know
_OLD = "its agent is older than this server; `imaged updateclient` brings it"


@click.command("syncfiles")
@click.option("--image", "images", multiple=True, metavar="IMAGE", help="Also, or only, a new version of this image.")
@click.option("--channel", default="", help="The channel to move to the new versions.")
@click.option("--then", default="", metavar="COMMAND", help="A line for the shell of each node that was changed.")
@cluster.options
@click.argument("words", nargs=-1, metavar="[NODES]... [FILES]...")
@click.pass_obj
def command(
    context: Context, /, words: tuple[str, ...], images: tuple[str, ...], channel: str, then: str, **given: Any
) -> None:
    """Bring the files that syncfiles.yaml in the state directory lists to NODES (node01, node[01-64], @rack1, @*).

    Only what differs by its checksum is sent; users and groups are added by name. FILES (absolute paths) are those
    alone; one that is in no list is taken from the same place here. Exit code 1 when something failed anywhere.
    """
    ranges = tuple(word for word in words if not word.startswith("/"))
    only = tuple(word for word in words if word.startswith("/"))
    for path in only:
        syncfiles.check_path(path, "FILES")
    if not ranges and not images:
        raise BadInput("which nodes or images?", hint="Such as: imaged syncfiles @*, or imaged syncfiles --image NAME.")
    if channel and not images:
        raise BadInput("goes with --image", where="--channel")
    if "\n" in then:
        raise BadInput("is more than one line", where="--then")
    look, how = given.pop("dry_run"), reach.take(given)
    for image in images:
        _image(context, image, only, channel, look=look)
    if ranges:
        _nodes(context, ranges, only, then, how, look=look)


def _image(context: Context, image: str, only: tuple[str, ...], channel: str, *, look: bool) -> None:
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    done = admin.into_image(context.desk, ImageRef.parse(image), only, look=look, channel=channel, who=who)
    lines = syncfiles.report(done.found, look=done.made is None) or ("in step",)
    title = f"{done.made.ref}, made of {done.base.ref}:" if done.made else f"{done.base.ref}:"
    click.echo("\n  ".join((title, *lines)))
    if done.made and not channel:
        click.echo(f"No channel means it yet: imaged publish {done.made.ref}")


def _nodes(
    context: Context, ranges: tuple[str, ...], only: tuple[str, ...], then: str, how: reach.Ssh, *, look: bool
) -> None:
    lists, sources, desk = admin.lists(context.desk), admin.Sources(), context.desk
    if not (lists or only):
        raise NotFound("lists no files", where=str(desk.state.syncfiles), hint="See docs/cluster.md.")
    items = {
        node.name: sources.items(syncfiles.chosen(lists, admin.layers_of(desk, node), only))
        for node in named(desk, ranges)
    }
    with cluster.doors(context, ranges, how) as (names, config, elsewhere):
        without = tuple(Answer(name, 0, "nothing is listed", "") for name in names if not items[name])
        heard = _sync({name: items[name] for name in names if items[name]}, then, config, how, look=look)
    cluster.tell((*heard, *without, *elsewhere))


def _sync(
    items: Mapping[str, Sequence[Item]], then: str, config: Path, how: reach.Ssh, *, look: bool
) -> tuple[Answer, ...]:
    """First what each node has, by checksums, then what it lacks."""
    asked = {name: syncfiles.question(each, ()) for name, each in items.items()}
    first = {answer.node: answer for answer in _ask(asked, config, how, look=True)}
    found = {name: _understood(answer) for name, answer in first.items()}
    again = {
        name: syncfiles.wanting(items[name], synced, look=look)
        for name, synced in found.items()
        if isinstance(synced, Synced) and syncfiles.differs(synced)
    }
    asked = {name: syncfiles.question(todo, contents, then) for name, (todo, contents) in again.items()}
    for answer in _ask(asked, config, how, look=look):
        found[answer.node] = _understood(answer)
    return tuple(_told(name, synced, look=look) for name, synced in found.items())


def _ask(questions: Mapping[str, bytes], config: Path, how: reach.Ssh, *, look: bool) -> tuple[Answer, ...]:
    line = shlex.join((reach.AGENT, "syncfiles", *(("--dry-run",) if look else ())))
    rollout = Rollout(tuple(questions), how.fanout)
    return fan_out(rollout, line, config, stdin=lambda node: questions[node], timeout=how.timeout)


def _understood(answer: Answer) -> Synced | str:
    """What a node has done, or why nothing. Pure."""
    try:
        return syncfiles.answer(answer.output)
    except BadInput as error:
        why = why_not(answer.code, answer.errors) if answer.code else error.what
        return f"{why}; {_OLD}" if answer.code == _USAGE else why


def _told(name: str, found: Synced | str, *, look: bool) -> Answer:
    """As ``cluster.tell`` takes it. Pure."""
    if isinstance(found, str):
        return Answer(name, 1, "", found)
    return Answer(name, int(syncfiles.failed(found)), "\n".join(syncfiles.report(found, look=look)) or "in step", "")
