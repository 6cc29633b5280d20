"""``imaged updateclient``: bring running nodes into step with their image, many at once, over ssh."""

import json
import shlex
from typing import Any

import click
from rich.console import Console

from imaged.admin import ranges
from imaged.cli import autoinstall as install
from imaged.cli import plain, reach
from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.errors import BadInput, ImagedError
from imaged.planning.answers import DONE, NOT_FOUND, REFUSED, Heard, counts, read_update, why_not
from imaged.planning.plain import NOT_DONE
from imaged.planning.rollout import Rollout, Standing, allowed_failures, equal_groups
from imaged.remote.fanout import Answer, fan_out
from imaged.store.nodes import Nodes

_SHOWN = 20  # paths of each kind, without --all


@click.command("updateclient")
@click.argument("nodes", nargs=-1, required=True, metavar="NODES...")
@click.option("--dry-run", "-n", is_flag=True, help="Print what would be done, grouped; touch nothing.")
@click.option("--checksum", is_flag=True, help="Compare contents by hash, not only by size and time.")
@click.option("--full", is_flag=True, help="Plain rsync of everything instead of what differs.")
@click.option("--no-delete", is_flag=True, help="Leave what the image does not have.")
@click.option("--no-bootloader", is_flag=True, help="Leave the boot loader and its menu alone.")
@click.option("--directory", metavar="DIR", help="Only what is below DIR.")
@click.option("--to", "version", type=click.IntRange(1), help="This version of each node's image, also an older one.")
@click.option("--reboot", type=click.Choice(("never", "kexec", "cold")), default="never", show_default=True)
@click.option("--yes", is_flag=True, help="Also if a guard would stop it (many deletions, another distribution).")
@click.option("--plain", "agentless", is_flag=True, help="For nodes without our agent or Python: a shell and rsync.")
@click.option("--canary", "canaries", type=click.IntRange(0), default=0, help="So many nodes go first, alone.")
@click.option("--max-failures", default="", metavar="N|N%", help="Begin no more nodes once more than these failed.")
@click.option(
    "--autoinstall", is_flag=True, help="Install them anew instead: they leave for the installer. Needs --yes."
)
@click.option("--by", type=click.Choice(("auto", "kexec", "menu")), default="auto", help="With --autoinstall: how.")
@click.option("--static", is_flag=True, help="With --autoinstall: the node keeps its address, without DHCP.")
@click.option("--all", "everything", is_flag=True, help="With --dry-run: every path, not the first of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@reach.options
@click.pass_obj
def command(
    context: Context, /, nodes: tuple[str, ...], everything: bool, as_json: bool, agentless: bool,
    autoinstall: bool, by: str, static: bool, **given: Any,
) -> None:  # fmt: skip
    """Bring NODES (node01, node[01-64], ...) into step with the version that their image's channel means now.

    Each node compares its own tree with the version's manifest and fetches exactly what differs. What makes a node
    itself, protected paths and other mounts are left alone.
    """
    how = reach.take(given)
    engine = context.desk.engine
    wanted = ranges.named(context.desk, nodes)
    rollout = Rollout(
        tuple(node.name for node in wanted), how.fanout, given.pop("canaries"),
        allowed_failures(given.pop("max_failures"), len(wanted)),
    )  # fmt: skip
    console = Console(stderr=True, highlight=False)
    heard: list[Heard] = []

    def hear(answer: Heard) -> None:
        heard.append(answer)
        if not as_json and not given["dry_run"]:
            console.print(f"{answer.node}: {said(heard[-1])}", markup=False, soft_wrap=True)

    if autoinstall:
        install.check(wanted, confirmed=given["yes"])
    with reach.ssh_config(engine, wanted, how) as config:
        if autoinstall:
            command = install.line(by, static=static)
            for each in install.autoinstall(Nodes(engine), wanted, rollout, command, config, how.timeout):
                said_so = each.fault or "leaves for the installer; `imaged lsnode` shows how it goes"
                console.print(f"{each.node}: {said_so}", markup=False, soft_wrap=True)
        elif agentless:
            console.print(NOT_DONE, markup=False)
            plain.Updating(context, plain.wish(context, given), given["version"]).run(
                rollout, config, how.timeout, hear
            )
        else:
            line = shlex.join((reach.AGENT, "updateclient", "--json", *arguments(**given)))
            fan_out(rollout, line, config, timeout=how.timeout, on_answer=lambda answer: hear(understood(answer)))
    if as_json:
        click.echo(json.dumps({each.node: {"fault": each.fault, "answer": to_plain(each.answer)} for each in heard}))
    elif given["dry_run"]:
        for text, names in equal_groups([(each.node, proposal(each, everything)) for each in heard]):
            click.echo(f"{ranges.folded(names)}: {text}")
    skipped, failed = rollout.standing(Standing.SKIPPED), rollout.standing(Standing.FAILED)
    if skipped:
        console.print(f"not begun, because {rollout.stopped}: {ranges.folded(skipped)}", markup=False)
    if failed:
        raise ImagedError(f"{len(failed)} of {len(rollout.nodes)} nodes failed", where=ranges.folded(failed))


def arguments(
    *, dry_run: bool, checksum: bool, full: bool, no_delete: bool, no_bootloader: bool, directory: str | None,
    version: int | None, reboot: str, yes: bool,
) -> tuple[str, ...]:  # fmt: skip
    """The agent's own options, which are ours by name."""
    if directory is not None and not directory.startswith("/"):
        raise BadInput(f"{directory!r} is not an absolute path", where="--directory")
    flags = (
        ("--dry-run", dry_run), ("--checksum", checksum), ("--full", full), ("--no-delete", no_delete),
        ("--no-bootloader", no_bootloader), ("--yes", yes),
    )  # fmt: skip
    return (
        *(name for name, on in flags if on),
        *((f"--directory={directory}",) if directory else ()),
        *((f"--to={version}",) if version else ()),
        *((f"--reboot={reboot}",) if reboot != "never" else ()),
    )


def understood(answer: Answer) -> Heard:
    """What a node's words mean. Pure."""
    try:
        update = read_update(answer.output)
    except BadInput as error:
        why = why_not(answer.code, answer.errors) if answer.code else error.what
        return Heard(answer.node, None, f"{why}; --plain does without" if answer.code in NOT_FOUND else why)
    if answer.code == DONE:
        return Heard(answer.node, update, "")
    word = "refused" if answer.code == REFUSED else "failed"
    return Heard(answer.node, update, f"{word}: {update.message or why_not(answer.code, answer.errors)}")


def said(heard: Heard) -> str:
    """One node's update in a line. Pure."""
    if heard.fault or heard.answer is None:
        return heard.fault
    reboot = "; reboot it for the new kernel" if heard.answer.reboot else ""
    return f"{heard.answer.image}, {counts(heard.answer)}{reboot}"


def proposal(heard: Heard, everything: bool) -> str:
    """What a node would do, for people: counts, then paths by kind. Pure."""
    if heard.answer is None or (heard.fault and not heard.answer.changes):
        return heard.fault
    lines = [f"{heard.answer.image}, {counts(heard.answer)}" + (f" ({heard.fault})" if heard.fault else "")]
    for action in dict.fromkeys(change.action for change in heard.answer.changes):
        changes = [change for change in heard.answer.changes if change.action == action]
        shown = changes if everything else changes[:_SHOWN]
        lines += [f"  {action:<9} {change.path}{f'  ({change.reason})' if change.reason else ''}" for change in shown]
        if len(shown) < len(changes):
            lines.append(f"  {action:<9} and {len(changes) - len(shown)} more (--all shows them)")
    return "\n".join(lines)
