"""What C3's verbs share: one command on many nodes, and its answers folded for people."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from imaged.admin.ranges import folded, named
from imaged.cli import reach
from imaged.cli.context import Context
from imaged.model.errors import ImagedError, NotFound
from imaged.planning.rollout import Rollout, equal_groups
from imaged.remote.fanout import TIMED_OUT, Answer, fan_out

ELSEWHERE = 256  # the code of an answer that nobody was asked for: no program ends with it
_ENDINGS = {0: "", TIMED_OUT: " took too long", 255: " not reached by ssh", ELSEWHERE: " not gone to"}
_WHERE = {
    True: "is not in the installer",
    False: "is in the installer; cexec, cpush and cget go there with --installer",
}


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Of every verb that runs a command; ``run`` takes them."""
    command = click.option("--dry-run", is_flag=True, help="Print what would be run, and where.")(command)
    return reach.options(command)


def run(
    context: Context,
    ranges: Sequence[str],
    line: str,
    given: dict[str, Any],
    *,
    confirm: str = "",
    on_answer: Callable[[Answer], None] | None = None,
) -> None:
    """Run ``line`` on the nodes of ``ranges`` and print what they said, equal answers once.

    ``confirm`` asks a person first. ``on_answer`` prints instead, as answers come. Raises ImagedError where a node
    failed.
    """
    dry = given.pop("dry_run")
    how = reach.take(given)
    with doors(context, ranges, how) as (names, config, elsewhere):
        if dry:
            click.echo(f"{folded(names)}: {line}")
            return
        if confirm and names:
            click.confirm(f"{confirm} on {folded(names)} ({len(names)})?", abort=True)
        rollout, hear = Rollout(names, how.fanout), on_answer or (lambda _: None)
        for answer in elsewhere:
            hear(answer)
        heard = fan_out(rollout, line, config, timeout=how.timeout, on_answer=hear)
    tell((*heard, *elsewhere), quiet=on_answer is not None)


def carry(
    context: Context, nodes: str, given: dict[str, Any], source: str | Path, target: str | Path,
    copy: Callable[..., tuple[Answer, ...]],
) -> None:  # fmt: skip
    """Copy ``source`` to ``target`` by ``remote.copying``'s push or pull, and tell how it went."""
    dry = given.pop("dry_run")
    how = reach.take(given)
    with doors(context, (nodes,), how) as (names, config, elsewhere):
        if dry:
            click.echo(f"{folded(names)}: {source} to {target}")
            return
        heard = copy(names, source, target, config, fanout=how.fanout, timeout=how.timeout) if names else ()
        tell((*heard, *elsewhere))


@contextmanager
def doors(
    context: Context, ranges: Sequence[str], how: reach.Ssh
) -> Iterator[tuple[tuple[str, ...], Path, tuple[Answer, ...]]]:
    """Names of the nodes in ``ranges``, a file for ``ssh -F`` by which they are reached while the block runs, and an
    answer for each that is not gone to: a verb for running nodes must not end an install, nor the other way round.

    Raises NotFound for no nodes.
    """
    engine = context.desk.engine
    nodes = named(context.desk, ranges)
    if not nodes:
        raise NotFound("there are no such nodes", where=" ".join(ranges))
    there = tuple(node for node in nodes if reach.is_there(engine, node, installer=how.installer))
    with reach.ssh_config(engine, there, how) as config:
        yield (
            tuple(node.name for node in there), config,
            tuple(Answer(node.name, ELSEWHERE, "", _WHERE[how.installer]) for node in nodes if node not in there),
        )  # fmt: skip


def tell(heard: Iterable[Answer], *, quiet: bool = False) -> None:
    """Equal answers once, those of most nodes first. Raises ImagedError that names the nodes that failed."""
    answers = tuple(heard)
    if not quiet:
        for text, names in equal_groups([(answer.node, said(answer)) for answer in answers]):
            click.echo(f"{folded(names)}:{text}")
    failed = [answer.node for answer in answers if answer.code]
    if failed:
        raise ImagedError(f"{len(failed)} of {len(answers)} nodes failed", where=folded(failed))


def said(answer: Answer) -> str:
    """What follows a node's name: how it ended, if not well, and what it printed, a line each. Pure."""
    lines = [*answer.output.splitlines(), *answer.errors.splitlines()]
    ended = _ENDINGS.get(answer.code, f" ended with {answer.code}")
    return "\n  ".join((ended or ("" if lines else " done"), *lines))
