"""``imaged updateclient --plain``: nodes without an agent are updated by a script of the server's, over ssh."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve

from imaged.cli.context import Context
from imaged.daemon.provisioning import Provisioning
from imaged.model.errors import BadInput, ImagedError
from imaged.model.outcome import Outcome, Updated
from imaged.model.update import UpdatePlan
from imaged.planning import plain
from imaged.planning.answers import DONE, REFUSED, Heard, why_not
from imaged.planning.plain import Plain
from imaged.planning.rollout import Rollout
from imaged.remote.fanout import Answer, fan_out
from imaged.store.manifest import Kind, parse_manifest

_AGENT_ONLY = ("full", "directory")


def wish(context: Context, given: dict[str, Any]) -> Plain:
    """The verb's options. Raises BadInput for those that need the agent."""
    for name in _AGENT_ONLY:
        if given[name]:
            raise BadInput(f"--{name} needs the agent", where="--plain")
    if given["reboot"] != "never":
        raise BadInput("--reboot needs the agent", where="--plain")
    return Plain(
        server=str(context.settings.address),
        dry_run=given["dry_run"],
        checksum=given["checksum"],
        delete=not given["no_delete"],
        bootloader=not given["no_bootloader"],
        confirmed=given["yes"],
    )


class Updating:
    """Plain updates of many nodes: each gets its plan when its turn comes, and what it may read goes with its end."""

    def __init__(self, context: Context, how: Plain, to: int | None) -> None:
        self._provisioning = Provisioning(context.settings, time.time)
        self._how, self._to = how, to
        self._plans: dict[str, UpdatePlan] = {}

    def run(self, rollout: Rollout, config: Path, timeout: float | None, on_answer: Callable[[Heard], None]) -> None:
        """Every node that ``rollout`` lets begin. A node that cannot be planned for fails like any other."""

        def hear(answer: Answer) -> None:
            on_answer(self.ended(answer))

        fan_out(rollout, "sh -s", config, stdin=self.script, timeout=timeout, on_answer=hear)

    def script(self, name: str) -> bytes:
        """What ``sh -s`` reads there; from now on the node may fetch it."""
        try:
            plan = self._provisioning.updates.begin(name, self._to)
        except ImagedError as error:
            return plain.refusal(str(error)).encode("utf-8", "surrogateescape")
        self._plans[name] = plan
        return plain.script(plan, laid(plan), self._how).encode("utf-8", "surrogateescape")

    def ended(self, answer: Answer) -> Heard:
        """Understand, and keep what the agent would have reported."""
        plan = self._plans.get(answer.node)
        if plan is None:
            return Heard(answer.node, None, why_not(answer.code, answer.errors))
        heard = understood(answer, plan)
        if self._how.dry_run:
            self._provisioning.nodes.keep(answer.node, updating=None)
        else:
            self._provisioning.updates.record_updated(answer.node, told(heard, plan, answer.code))
        return heard


def laid(plan: UpdatePlan) -> tuple[str, ...]:
    """Paths of the plan's overrides that are no directories."""
    entries = parse_manifest(plan.overrides, where="overrides")
    return tuple(each.path for each in entries if each.kind is not Kind.DIRECTORY)


def understood(answer: Answer, plan: UpdatePlan) -> Heard:
    """What the shell's words mean. Pure."""
    if answer.code != DONE:
        return Heard(answer.node, None, why_not(answer.code, answer.errors))
    try:
        return Heard(answer.node, plain.read(answer.output, plan.image), "")
    except BadInput as error:
        return Heard(answer.node, None, error.what)


def told(heard: Heard, plan: UpdatePlan, code: int) -> Updated:
    """What the agent would have told at the end. Pure."""
    ended = Updated(plan.image, plan.serial, Outcome.REFUSED if code == REFUSED else Outcome.FAILED, heard.fault)
    if heard.answer is None:
        return ended
    found = heard.answer
    return evolve(
        ended, outcome=Outcome.DONE, message="", added=found.added, changed=found.changed, deleted=found.deleted,
        reboot=found.reboot,
    )  # fmt: skip
