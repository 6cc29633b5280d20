"""What a site adds to an install: scripts in their phases with their variables, rules of what is left out."""

from typing import Any

import pytest
from attrs import evolve

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput
from imaged.model.plan import InstallPlan, RunScript, SyncTree
from imaged.model.update import Script
from imaged.planning.additions import NOTHING_ADDED, Additions, rules
from imaged.planning.install import plan, plan_hash
from imaged.planning.show import plan_text, presentable
from tests.planning.test_install import LAYOUT, MACHINE, NODE, SITE, VERSION

ADDED = Additions(
    pre=(Script("10all.a", "#!/bin/sh\n"), Script("05n.b", "#!/bin/sh\n")),
    post=(Script("10all.c", "#!/bin/sh\necho s3cret\n"),),
    groups=("lab", "gpu"),
    rules=("- /srv/scratch/*",),
)


def made(added: Additions = ADDED, **changes: Any) -> InstallPlan:
    return plan(evolve(NODE, **changes), VERSION, LAYOUT, MACHINE, SITE, added)


def steps(install: InstallPlan, phase: str) -> tuple[Any, ...]:
    (found,) = (each.steps for each in install.phases if each.name == phase)
    return found


def test_scripts_stand_around_what_they_are_for_in_the_order_given() -> None:
    names = [phase.name for phase in made().phases]
    assert names[:2] == ["pre-install", "wipe"], "before any disk is touched"
    at = names.index("post-install")
    assert names[at - 1 : at + 2] == ["fixups", "post-install", "bootloader"]
    assert [(step.name, step.in_target) for step in steps(made(), "pre-install")] == [
        ("10all.a", False),
        ("05n.b", False),
    ]
    assert [(step.name, step.in_target) for step in steps(made(), "post-install")] == [("10all.c", True)]
    assert [phase.name for phase in made(NOTHING_ADDED).phases] == names, "breakpoints know them in any case"


def test_variables() -> None:
    (step,) = steps(made(address="10.0.0.7"), "post-install")
    assert isinstance(step, RunScript)
    assert step.variables == {
        "IMAGED_NODE": "node07", "IMAGED_IMAGE": "debian-12", "IMAGED_VERSION": "1",
        "IMAGED_SERVER": "http://10.0.0.1:8080", "HOSTNAME": "node07", "BASE_HOSTNAME": "node",
        "DOMAINNAME": "a.example", "IPADDR": "10.0.0.7", "IMAGENAME": "debian-12", "IMAGESERVER": "10.0.0.1",
        "GROUPNAMES": "lab gpu", "DISKS": "1", "DISK0": "/dev/nvme0n1",
    }  # fmt: skip


def test_a_node_without_address_or_groups_has_empty_ones() -> None:
    (step,) = steps(made(evolve(ADDED, groups=())), "post-install")
    assert (step.variables["IPADDR"], step.variables["GROUPNAMES"]) == ("", "")


def test_people_see_names_and_hashes_only_and_another_content_is_another_plan() -> None:
    install = made()
    other = made(evolve(ADDED, post=(Script("10all.c", "#!/bin/sh\necho other\n"),)))
    text = plan_text(install, plan_hash(install))
    digest = steps(install, "post-install")[0].digest
    assert f"run post-install script 10all.c, sha256 {digest[:16]}" in text
    assert text.index("pre-install:\n  run pre-install script 10all.a") < text.index("wipe:\n")
    assert "s3cret" not in text + to_json(presentable(install))
    assert f"sha256 {digest}" in to_json(presentable(install))
    assert "s3cret" in to_json(install), "the agent needs it"
    assert plan_hash(install) != plan_hash(other)
    assert from_json(to_json(install), InstallPlan) == install


def test_phases_in_which_nothing_is_done_are_not_shown() -> None:
    text = plan_text(made(NOTHING_ADDED), "x")
    assert "pre-install" not in text and "post-install" not in text


def test_what_is_left_out_goes_with_every_copy_of_the_image() -> None:
    found = [step for step in steps(made(), "transfer") if isinstance(step, SyncTree)]
    assert {step.rules for step in found} == {ADDED.rules}
    assert "filtered by '- /srv/scratch/*'" in plan_text(made(), "x")


def test_the_last_layer_decides() -> None:
    lists = (("overrides/all.exclude", "# caches\n/opt/*\n\n/srv/\n"), ("overrides/node/n1.exclude", "+ /opt/sim/\n"))
    assert rules(lists) == ("+ /opt/sim/", "- /opt/*", "- /srv/")


@pytest.mark.parametrize("line", ["/", "+ ", "- /"])
def test_a_rule_that_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(BadInput) as raised:
        rules((("overrides/all.exclude", "/x\n"), ("overrides/node/n1.exclude", f"{line}/\n")))
    assert raised.value.where == "overrides/node/n1.exclude"
