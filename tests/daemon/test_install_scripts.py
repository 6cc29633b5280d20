"""Scripts, lists of what is left out, and confirmed plans, from files on the server to the agent's plan."""

from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve

from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, ImagedError
from imaged.model.group import Group
from imaged.model.node import NodeState
from imaged.model.plan import InstallPlan, RunScript, SyncTree
from imaged.model.report import Status
from imaged.model.size import GIB
from imaged.model.talk import Claim, PlanRequest, Problem
from imaged.model.wishes import Wishes
from imaged.planning.install import plan_hash
from imaged.store.groups import Groups
from tests.daemon.test_layers import write
from tests.daemon.test_nodeapi import Api, api
from tests.daemon.test_provisioning import DISK, MACHINE, clock, report, server, token_of

__all__ = ["api", "clock", "server"]


def planned(server: Provisioning) -> InstallPlan:
    return server.plan(server.nodes.get("n1"), MACHINE)


def scripts(plan: InstallPlan) -> list[tuple[str, str]]:
    return [(phase.name, step.name) for phase in plan.phases for step in phase.steps if isinstance(step, RunScript)]


def test_all_then_image_then_groups_by_priority_then_node(server: Provisioning, tmp_path: Path) -> None:
    groups = Groups(server.engine)
    for name, priority in (("gpu", 1), ("lab", 9), ("other", 1)):
        groups.add(Group(name, priority))
    groups.put("n1", ("gpu", "lab"))
    for name in ("10n1.z", "90all.b", "10gpu.y", "20all.a", "10lab.x", "10tiny.w", "10other.no", "10all.old~"):
        write(tmp_path, f"scripts/post-install/{name}", "#!/bin/sh\n")
    write(tmp_path, "scripts/pre-install/10all.first", "#!/bin/sh\n")
    wanted = ["20all.a", "90all.b", "10tiny.w", "10lab.x", "10gpu.y", "10n1.z"]
    assert scripts(planned(server)) == [
        ("pre-install", "10all.first"), *(("post-install", name) for name in wanted)
    ]  # fmt: skip
    listed = server.scripts(server.nodes.get("n1"), "post-install")
    assert [(each.name, each.layer) for each in listed] == list(
        zip(wanted, ("all", "all", "image/tiny", "group/lab", "group/gpu", "node/n1"), strict=True)
    )


def test_a_template_is_rendered_for_its_node_alone(server: Provisioning, tmp_path: Path) -> None:
    write(tmp_path, "scripts/post-install/10all.x.j2", "#!/bin/sh\necho {{ node }} of {{ image }}@{{ version }}\n")
    (step,) = (step for phase in planned(server).phases for step in phase.steps if isinstance(step, RunScript))
    assert (step.name, step.content) == ("10all.x", "#!/bin/sh\necho n1 of tiny@1\n")
    write(tmp_path, "scripts/post-install/10all.x", "#!/bin/sh\n")
    with pytest.raises(BadInput, match=r"10all\.x is there as it is and as a template"):
        planned(server)


BAD = [
    ("scripts/pre-install/10all.x", "echo", "#!", "scripts/pre-install/10all.x"),
    ("scripts/post-install/README", "", "README", "scripts/post-install"),
    ("scripts/post-install/10all.x.j2", "#!/bin/sh\n\n{{ secret }}\n", "'secret' is undefined",
     "scripts/post-install/10all.x.j2 for n1, line 3"),
    ("overrides/all.exclude", "/x\n//\n", "no pattern", "overrides/all.exclude"),
    ("overrides/node/n1.exclude", "+ /\n", "no pattern", "overrides/node/n1.exclude"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "what", "where"), BAD)
def test_a_bad_file_is_named_before_there_is_a_plan(
    server: Provisioning, tmp_path: Path, path: str, text: str, what: str, where: str
) -> None:
    write(tmp_path, path, text)
    server.claim(Claim(token_of(server), "secret"))
    with pytest.raises(BadInput) as raised:
        server.answer_plan("n1", MACHINE)
    assert what in raised.value.what
    assert raised.value.where == where
    assert server.grant("n1", "secret") is None, "and nothing may be fetched"


def test_what_is_left_out_by_layer(server: Provisioning, tmp_path: Path) -> None:
    write(tmp_path, "overrides/all.exclude", "# big\n/opt/*\n")
    write(tmp_path, "overrides/node/n1.exclude", "+ /opt/sim/\n")
    write(tmp_path, "overrides/node/n2.exclude", "/etc/\n")
    (tree,) = (step for phase in planned(server).phases for step in phase.steps if isinstance(step, SyncTree))
    assert tree.rules == ("+ /opt/sim/", "- /opt/*")


OTHER = evolve(MACHINE, disks=(evolve(DISK, size=9 * GIB),))


def confirm(server: Provisioning) -> str:
    digest = plan_hash(planned(server))
    server.nodes.keep("n1", wishes=to_json(Wishes(plan=digest)))
    server.claim(Claim(token_of(server), "secret"))
    return digest


def test_the_plan_that_was_confirmed_is_carried_out_once(server: Provisioning) -> None:
    digest = confirm(server)
    assert server.answer_plan("n1", MACHINE).hash == digest
    report(server, "reboot", Status.DONE)
    assert server.nodes.fact("n1", "wishes") is None, "the next install is another matter"


def test_another_plan_than_the_confirmed_one_is_refused(server: Provisioning) -> None:
    digest = confirm(server)
    with pytest.raises(Conflict, match=f"not {digest} as it was confirmed") as raised:
        server.answer_plan("n1", OTHER)
    node = server.nodes.get("n1")
    assert node.state is NodeState.FAILED
    assert node.reason == f"plan: {raised.value.what}"
    assert server.grant("n1", "secret") is None, "nothing may be fetched"
    assert server.nodes.inventory("n1") == OTHER, "so that `imaged plan` shows the new one"
    assert server.nodes.fact("n1", "plan_hash") is None
    report(server, "plan", Status.FAILED, "as the agent says it")
    assert server.nodes.get("n1").reason == "plan: as the agent says it"
    assert str(raised.value).endswith(f"--plan {plan_hash(server.plan(node, OTHER))}.")


def test_a_script_that_changed_since_is_another_plan(server: Provisioning, tmp_path: Path) -> None:
    confirm(server)
    write(tmp_path, "scripts/pre-install/10all.x", "#!/bin/sh\n")
    with pytest.raises(Conflict):
        server.answer_plan("n1", MACHINE)


def test_without_confirmation_any_plan_is_good(server: Provisioning) -> None:
    server.claim(Claim(token_of(server), "secret"))
    assert server.answer_plan("n1", OTHER).hash != plan_hash(planned(server))


def test_a_wish_of_an_earlier_release_names_no_plan() -> None:
    assert from_json('{"breaks": [], "then": "reboot"}', Wishes) == Wishes()


@pytest_twisted.ensureDeferred
async def test_the_agent_is_told_with_409(api: Api, server: Provisioning) -> None:
    digest = confirm(server)
    status, body = await api.call("POST", "/v1/plan", to_json(PlanRequest(OTHER)), "secret")
    problem = from_json(body, Problem)
    assert (status, problem.where) == (409, "n1")
    assert digest in problem.what and "imaged boot n1 install --plan" in problem.hint
    assert server.nodes.get("n1").state is NodeState.FAILED
    with pytest.raises(ImagedError):
        server.key("n1", "crypt0")
