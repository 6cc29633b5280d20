"""``imaged verify``: how far running nodes have drifted from their image, overrides and fixups."""

import json
import shlex
from typing import Any

import click

from imaged.admin import ranges
from imaged.cli import reach
from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.errors import ImagedError
from imaged.model.outcome import Drift
from imaged.planning.answers import DONE, DRIFTED, read_drift, why_not
from imaged.planning.rollout import Rollout, equal_groups
from imaged.remote.fanout import Answer, fan_out

_SHOWN = 20  # differences of each owner, without --all
_DRIFT = 9  # exit code; 1 to 8 are errors, see model/errors.py


@click.command("verify")
@click.argument("nodes", nargs=-1, required=True, metavar="NODES...")
@click.option("--checksum", is_flag=True, help="Read every file back, not only those that moved.")
@click.option("--all", "everything", is_flag=True, help="Every path that a node names, not the first of each owner.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@reach.options
@click.pass_obj
def command(context: Context, /, nodes: tuple[str, ...], everything: bool, as_json: bool, **given: Any) -> int:
    """Compare NODES (node01, node[01-64], ...) with what they were last brought in step with, path by path.

    Nodes that differ alike are one group. Each path is somebody's: the image's, an override's, a fixup's, or local.
    Exit code 0: all in step; 9: drift; 1: not every node answered.
    """
    checksum = given.pop("checksum")
    how = reach.take(given)
    engine = context.desk.engine
    wanted = ranges.named(context.desk, nodes)
    heard: list[tuple[str, Drift | None, str]] = []
    line = shlex.join((reach.AGENT, "verify", "--json", "--report", *(("--checksum",) if checksum else ())))
    with reach.ssh_config(engine, wanted, how) as config:
        rollout = Rollout(tuple(node.name for node in wanted), how.fanout)
        fan_out(rollout, line, config, timeout=how.timeout, on_answer=lambda answer: heard.append(understood(answer)))
    if as_json:
        click.echo(json.dumps({name: {"fault": fault, "drift": to_plain(drift)} for name, drift, fault in heard}))
    else:
        for text, names in equal_groups([(name, said(drift, fault, everything)) for name, drift, fault in heard]):
            click.echo(f"{ranges.folded(names)}: {text}")
    silent = [name for name, drift, _ in heard if drift is None]
    if silent:
        raise ImagedError(f"{len(silent)} of {len(heard)} nodes gave no answer", where=ranges.folded(silent))
    drifted = [name for name, drift, _ in heard if drift and drift.count]
    if drifted:
        hint = f"imaged updateclient {ranges.folded(drifted)}"
        click.echo(f"{len(drifted)} of {len(heard)} nodes have drifted; `{hint}` brings them back.", err=True)
    return _DRIFT if drifted else 0


def understood(answer: Answer) -> tuple[str, Drift | None, str]:
    """(node, its drift, or why there is none). Pure."""
    if answer.code not in (DONE, DRIFTED):
        return answer.node, None, why_not(answer.code, answer.errors)
    try:
        return answer.node, read_drift(answer.output), ""
    except ImagedError as error:
        return answer.node, None, error.what


def said(drift: Drift | None, fault: str, everything: bool) -> str:
    """One node's drift for people: a line, then paths by owner. Pure."""
    if drift is None:
        return fault
    if not drift.count:
        return f"in step with {drift.image}"
    paths = "path differs" if drift.count == 1 else "paths differ"
    lines = [f"{drift.count} {paths} from {drift.image}"]
    for owner in dict.fromkeys(each.owner for each in drift.differences):
        rows = [each for each in drift.differences if each.owner is owner]
        shown = rows if everything else rows[:_SHOWN]
        lines += [f"  {owner.value:<8} {each.path}  ({each.what})" for each in shown]
        if len(shown) < len(rows):
            lines.append(f"  {owner.value:<8} and {len(rows) - len(shown)} more (--all shows them)")
    if len(drift.differences) < drift.count:
        lines.append(f"  and {drift.count - len(drift.differences)} that the node did not list")
    return "\n".join(lines)
