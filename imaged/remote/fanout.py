"""Runs one command on many nodes at once, through ClusterShell's event loop and ssh."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from ClusterShell.Event import EventHandler
from ClusterShell.Task import task_self

from imaged.planning.rollout import Rollout

TIMED_OUT = 124  # timeout(1)


@frozen
class Answer:
    """What a node said. ``code`` is the remote command's; 255: ssh itself failed; 124: it took too long."""

    node: str
    code: int
    output: str
    errors: str


def fan_out(
    rollout: Rollout,
    command: str,
    ssh_config: Path,
    *,
    stdin: bytes | Callable[[str], bytes] = b"",
    timeout: float | None = None,
    well: Callable[[Answer], bool] = lambda answer: answer.code == 0,
    on_answer: Callable[[Answer], None] = lambda answer: None,
) -> tuple[Answer, ...]:
    """Run ``command`` (a line for the remote shell) wherever ``rollout`` says; every answer, in the order they came.

    ``stdin`` is what it reads, or what tells that of each node when its turn has come.
    ``timeout`` in seconds for each node. ``well`` judges an answer for the rollout; ``on_answer`` is told of each as it
    comes. Ctrl-C ends the ssh clients and is raised on.
    """
    answers: list[Answer] = []
    task = task_self()
    task.set_info("fanout", max(rollout.fanout, 1))
    task.set_info("ssh_options", f"-F {ssh_config}")
    task.set_info("command_timeout", timeout or 0)
    task.set_default("stderr", True)

    def begin() -> None:
        for node in rollout.begin():
            given = stdin(node) if callable(stdin) else stdin
            worker = task.shell(command, nodes=node, handler=handler, timeout=timeout, stdin=bool(given))
            if given:
                worker.write(given)
                worker.set_write_eof()

    def ended(worker: Any, timed_out: bool) -> None:
        node = str(worker.nodes)
        output, errors = (text(read(node)) for read in (worker.node_buffer, worker.node_error_buffer))
        code = TIMED_OUT if timed_out else worker.node_retcode(node)
        answer = Answer(node, 255 if code is None else code, output, errors)
        answers.append(answer)
        rollout.ended(node, well=well(answer))
        on_answer(answer)
        begin()

    class Ends(EventHandler):  # type: ignore[misc]
        """ClusterShell tells of the end of each worker; a worker here is one node."""

        def ev_close(self, worker: Any, timedout: bool) -> None:
            """Called by ClusterShell."""
            ended(worker, timedout)

    handler = Ends()
    begin()
    finish(task)
    return tuple(answers)


def finish(task: Any) -> None:
    """Wait for all that was begun. Ctrl-C ends the ssh clients and is raised on."""
    try:
        task.run()
    except KeyboardInterrupt:
        task.abort()
        raise


def text(buffer: Any) -> str:
    """What ClusterShell kept of a node's output."""
    return bytes(buffer or b"").decode("utf-8", "replace")
