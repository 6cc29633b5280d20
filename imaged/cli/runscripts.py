"""``imaged runscripts``: a state's scripts here, and what they print on nodes, now and by ssh."""

import tempfile
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from imaged.admin.ranges import folded
from imaged.cli import cluster, reach
from imaged.cli.context import Context
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.statescripts import Made, StateScripts
from imaged.model.errors import NotFound
from imaged.model.states import StateRun, state_name
from imaged.planning.rollout import Rollout, equal_groups
from imaged.planning.states import KINDS, in_order, log_of
from imaged.remote.fanout import Answer, fan_out
from imaged.store.stateruns import StateRuns

_NOT_REACHED = 255
_SHELL = "sh -s"
_NOTHING = "nothing to run"


@click.command("runscripts")
@click.option("--print", "only_print", is_flag=True, help="Run the scripts here only, and show what they print.")
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("state")
@click.pass_obj
def command(context: Context, /, nodes: str, state: str, only_print: bool, **given: Any) -> None:
    """Run the scripts of scripts/state/STATE on this server for each of NODES, and what they print on the node by ssh.

    STATE is one that nodes come to by themselves (ready, daily) or any other word that has a directory. Equal answers
    are shown once. Exit code 1 when something failed anywhere.
    """
    provisioning = Provisioning(context.settings, time.time)
    kind = f"{KINDS}/{_known(provisioning, state)}"
    dry, how = given.pop("dry_run"), reach.take(given)
    with cluster.doors(context, (nodes,), how) as (names, config, elsewhere):
        if dry:
            chosen = ((name, provisioning.scripts(provisioning.nodes.get(name), kind)) for name in names)
            _show((name, "\n".join(f"{kind}/{each.name}" for each in scripts)) for name, scripts in chosen)
            return
        made = {each.run.node: each for each in _made(context, provisioning, names, state)}
        if only_print:
            cluster.tell(_printed(each) for each in made.values())
            return
        cluster.tell((*_carried_out(context, provisioning, made, how, config), *elsewhere))


def _known(provisioning: Provisioning, state: str) -> str:
    there = in_order(provisioning.overrides.script_names(KINDS))
    if state_name(state) not in there:
        where = f"scripts/{KINDS}/{state}"
        raise NotFound("there are no such scripts", where=where, hint=f"There are: {', '.join(there) or 'none'}.")
    return state


def _made(context: Context, provisioning: Provisioning, names: tuple[str, ...], state: str) -> tuple[Made, ...]:
    """All scripts are run before the first node is reached: ssh clients must not wait for them."""
    settings, directory = context.settings.scripts, provisioning.overrides.scripts
    with tempfile.TemporaryDirectory(prefix="imaged-scripts-") as home, ThreadPoolExecutor(settings.at_once) as pool:
        scripts = StateScripts(provisioning.state_scripts, Path(home), directory, settings, time.time)
        try:
            return tuple(pool.map(lambda name: scripts.make(name, state, str(uuid.uuid4())), names))
        except BaseException:
            scripts.stop()  # Ctrl-C would wait for them
            raise


def _carried_out(
    context: Context, provisioning: Provisioning, made: dict[str, Made], how: reach.Ssh, config: Path
) -> tuple[Answer, ...]:
    """What the nodes say, and what went wrong here before it."""
    logs, runs = NodeLogs(context.state.logs, time.time), StateRuns(provisioning.engine)
    for node, each in made.items():
        for line in each.said:
            logs.append(node, line)
        if each.run.over and (each.run.scripts or each.run.fault):
            runs.keep(each.run)
    todo = {node: each.run for node, each in made.items() if each.run.text}

    def heard(answer: Answer) -> None:
        if answer.code != _NOT_REACHED:
            run = todo[answer.node]
            runs.keep(evolve(run, code=answer.code, text=""))
            logs.append(answer.node, log_of(run.state, answer.code, f"{answer.output}\n{answer.errors}"))

    answers = fan_out(
        Rollout(tuple(todo), how.fanout), _SHELL, config, stdin=lambda node: todo[node].text.encode(),
        timeout=how.timeout, on_answer=heard,
    )  # fmt: skip
    return (
        *(_with_trouble(answer, todo[answer.node]) for answer in answers),
        *(_with_trouble(Answer(node, 0, _NOTHING, ""), each.run) for node, each in made.items() if node not in todo),
    )


def _with_trouble(answer: Answer, run: StateRun) -> Answer:
    """What failed here fails the whole. Pure."""
    lines = (*answer.errors.splitlines(), *((f"on the server: {run.trouble}",) if run.trouble else ()))
    return evolve(answer, code=answer.code or int(bool(run.trouble)), errors="\n".join(lines))


def _printed(made: Made) -> Answer:
    """As if the node had said it. Pure."""
    lines = [line for name, text in made.printed for line in (f"{name}:", *(f"  {each}" for each in text.splitlines()))]
    return Answer(made.run.node, int(bool(made.run.trouble)), "\n".join(lines) or _NOTHING, made.run.trouble)


def _show(found: Iterable[tuple[str, str]]) -> None:
    for text, names in equal_groups(tuple(found)):
        click.echo("\n  ".join((f"{folded(names)}:", *text.splitlines())) + ("" if text else " nothing"))
