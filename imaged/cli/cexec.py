"""``imaged cexec``: one command on many nodes."""

import shlex
from typing import Any

import click

from imaged.cli import cluster, reach
from imaged.cli.context import Context
from imaged.remote.fanout import Answer


@click.command("cexec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--pipe", is_flag=True, help="Each line with its node's name, as answers come; equal ones are not folded."
)
@click.option("--serial", is_flag=True, help="One node after the other.")
@reach.also_installer
@cluster.options
@click.argument("nodes", metavar="NODES")
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...")
@click.pass_obj
def command(context: Context, /, nodes: str, words: tuple[str, ...], pipe: bool, serial: bool, **given: Any) -> None:
    """Run COMMAND on NODES (node01, node[01-64], @rack1, @*) by ssh; equal answers are shown once.

    One word is a line for the remote shell ('ps ax | grep x'), several are a program and its arguments. Exit code 1
    when it failed anywhere.
    """
    if serial:
        given["fanout"] = 1
    line = words[0] if len(words) == 1 else shlex.join(words)
    cluster.run(context, (nodes,), line, given, on_answer=_print if pipe else None)


def _print(answer: Answer) -> None:
    for line in cluster.said(answer).split("\n"):
        if line.strip():
            click.echo(f"{answer.node}: {line.strip()}")
