"""Runs a node's state scripts on this server, as children. Blocking: called in threads, several at once."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.model.errors import CommandFailed, ImagedError
from imaged.model.override import Wanted
from imaged.model.settings import ScriptSettings
from imaged.model.states import ScriptEnd, StateRun
from imaged.model.update import Script
from imaged.planning import states

_PREFIX = "state-script-"


class Stopped(Exception):
    """The server ends, and with it the script: nothing was found out about it."""


@frozen
class Made:
    """A run as far as the server takes it, and what there is to log about it; ``printed`` are names of scripts and what
    they printed for the node."""

    run: StateRun
    said: tuple[str, ...]
    printed: tuple[tuple[str, str], ...] = ()


class StateScripts:
    """``find(node, state)`` says which scripts, and for whom. ``home`` takes their texts while they run; they are
    started in ``directory``. ``clock`` gives seconds since the epoch."""

    def __init__(
        self, find: Callable[[str, str], tuple[Wanted, tuple[Script, ...]]], home: Path, directory: Path,
        settings: ScriptSettings, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._find = find
        self._home = home
        self._directory = directory
        self._settings = settings
        self.clock = clock
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def clear(self) -> None:
        """Away with what a server that was killed left."""
        for path in self._home.glob(f"{_PREFIX}*"):
            path.unlink(missing_ok=True)

    def make(self, node: str, state: str, run: str) -> Made:
        """Run all of them in their order; one that fails is passed over, and said. Raises Stopped."""
        try:
            wanted, scripts = self._find(node, state)
        except ImagedError as error:
            fault = str(error).replace("\n ", "")
            return Made(StateRun(node, state, run, self.clock(), fault=fault), (f"state/{state}: {fault}",))
        said: list[str] = []
        ends, printed = [], []
        variables = states.variables(wanted, state)
        for script in scripts:
            end, text = self._run(script, variables, lambda line: said.append(f"state/{state}: {line}"))
            ends.append(end)
            if not end.fault:
                printed.append((script.name, text))
        text = states.together(node, state, printed)
        return Made(StateRun(node, state, run, self.clock(), tuple(ends), text=text), tuple(said), tuple(printed))

    def stop(self) -> None:
        """End those that run; every ``make`` raises from now on."""
        self._stopped = True
        for child in tuple(self._running):
            child.kill()

    def _run(self, script: Script, variables: dict[str, str], say: Callable[[str], None]) -> tuple[ScriptEnd, str]:
        try:
            done = self._child(script, variables)
        except CommandFailed as error:
            say(f"{script.name} on the server: {error.what}")
            for line in error.hint.splitlines():
                say(f"  {line.strip()}")
            return ScriptEnd(script.name, fault=error.what), ""
        complaints = process.last_lines(done.errors)
        fault = states.fault_of(done.output)
        if done.code:
            fault = process.failure((), done.code, "").what + (f" ({complaints[-1].strip()})" if complaints else "")
        size = len(done.output.encode("utf-8", "surrogateescape"))
        say(f"{script.name} on the server: {fault or f'{size} bytes for the node'}")
        for line in complaints:
            say(f"  {line}")
        return ScriptEnd(script.name, size, fault), done.output

    def _child(self, script: Script, variables: dict[str, str]) -> process.Completed:
        """By its interpreter, as execve(2) does: a file that was just written cannot be executed while another thread
        forks (ETXTBSY)."""
        if self._stopped:
            raise Stopped
        interpreter, _, argument = script.content.partition("\n")[0].removeprefix("#!").strip().partition(" ")
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=self._home)
        started: list[subprocess.Popen[bytes]] = []

        def begun(child: "subprocess.Popen[bytes]") -> None:
            started.append(child)
            self._running.add(child)
            if self._stopped:  # in this very moment
                child.kill()

        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(script.content)
            return process.confined(
                (interpreter, *((argument.strip(),) if argument.strip() else ()), name),
                timeout=self._settings.timeout, most=states.MOST, env=variables, cwd=self._directory,
                on_start=begun, errors="surrogateescape",
            )  # fmt: skip
        finally:
            self._running.difference_update(started)
            Path(name).unlink(missing_ok=True)
            if self._stopped:
                raise Stopped
