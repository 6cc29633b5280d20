"""Copies a file to many nodes, or from them, through ClusterShell's event loop and scp."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ClusterShell.Event import EventHandler
from ClusterShell.NodeSet import NodeSet
from ClusterShell.Task import task_self

from imaged.remote.fanout import TIMED_OUT, Answer, finish, text


def push(
    nodes: Sequence[str], source: Path, target: str, ssh_config: Path, *, fanout: int, timeout: float | None = None
) -> tuple[Answer, ...]:
    """scp -p, with -r for a directory. ``target`` is a path on the nodes. Answers in the order in which they came."""
    return _carry(
        lambda task, handler: task.copy(
            str(source), target, nodes=NodeSet.fromlist(list(nodes)), handler=handler, timeout=timeout, preserve=True
        ),
        ssh_config, fanout,
    )  # fmt: skip


def pull(
    nodes: Sequence[str], source: str, target: Path, ssh_config: Path, *, fanout: int, timeout: float | None = None
) -> tuple[Answer, ...]:
    """Into the directory ``target``, as NAME.NODE each."""
    return _carry(
        lambda task, handler: task.rcopy(
            source, str(target), nodes=NodeSet.fromlist(list(nodes)), handler=handler, timeout=timeout, preserve=True
        ),
        ssh_config, fanout,
    )  # fmt: skip


def _carry(begin: Callable[[Any, Any], Any], ssh_config: Path, fanout: int) -> tuple[Answer, ...]:
    answers: list[Answer] = []
    task = task_self()
    task.set_info("fanout", max(fanout, 1))
    task.set_info("scp_options", f"-q -F {ssh_config}")
    task.set_default("stderr", True)

    class Ends(EventHandler):  # type: ignore[misc]
        """ClusterShell tells how each node's scp ended, and which of them took too long."""

        def ev_hup(self, worker: Any, node: str, rc: int | None) -> None:
            """Called by ClusterShell."""
            errors = text(worker.node_error_buffer(node))
            answers.append(Answer(node, TIMED_OUT if rc is None else rc, text(worker.node_buffer(node)), errors))

        def ev_close(self, worker: Any, timedout: bool) -> None:
            """Called by ClusterShell."""
            heard = {answer.node for answer in answers}
            late = (node for node in worker.iter_keys_timeout() if node not in heard)
            answers.extend(Answer(node, TIMED_OUT, "", "") for node in late)

    begin(task, Ends())
    finish(task)
    return tuple(answers)
