"""Machines without a name, and what switches the power, over the API."""

import json
from typing import Any

import pytest

from imaged.model.machine import Machine
from imaged.store.powers import Powers
from tests.admin.site import mac
from tests.daemon.api.office import Front, front

__all__ = ["front"]
M8 = "52:54:00:00:00:08"
RULES = """
rules:
- {name: all, match: {mac: "52:54:00"}, become: {names: "r[1-9]", image: tiny, action: local}}
"""


def what(answer: Any) -> str:
    return str(json.loads(answer.body)["what"])


def test_a_machine_is_seen_named_and_a_node(front: Front) -> None:
    (shown,) = front.get("/v1/machines")["machines"]
    assert (shown["machine"]["mac"], shown["proposal"]["name"]) == (M8, None)
    assert front.get(f"/v1/machines/{M8}")["node"] is None
    wanted = {"name": "m1", "image": "tiny", "address": "10.0.0.31", "groups": ["rack"], "action": "local"}
    made = front.ask("POST", f"/v1/machines/{M8.upper()}/assign", wanted, who="operator")
    assert (made.status, json.loads(made.body)["groups"]) == (201, ["rack"])
    assert front.get(f"/v1/machines/{M8}")["node"] == "m1"
    assert front.get("/v1/machines")["machines"] == []
    again = front.ask("POST", f"/v1/machines/{M8}/assign", {**wanted, "name": "m2"})
    assert (again.status, "is a node already" in what(again)) == (409, True)


def test_a_machine_that_is_never_to_be_offered(front: Front) -> None:
    assert front.ask("PUT", f"/v1/machines/{M8}/ignored", {"ignored": True}).status == 200
    assert front.get("/v1/machines")["machines"] == []
    assert front.get("/v1/machines?ignored=true")["machines"][0]["machine"]["ignored"] is True
    assert front.ask("DELETE", f"/v1/machines/{M8}").status == 204
    assert front.ask("GET", f"/v1/machines/{M8}").status == 404


def test_what_the_rules_propose_is_approved(front: Front) -> None:
    assert json.loads(front.ask("POST", "/v1/approve", {}).body)["nodes"] == []
    front.desk.state.rules.write_text(RULES)
    assert front.get("/v1/machines")["machines"][0]["proposal"] == {
        "rule": "all", "name": "r1", "address": None, "approve": True, "why": ""
    }  # fmt: skip
    unknown = front.ask("POST", "/v1/approve", {"machines": [str(mac(77))]})
    assert (unknown.status, front.get("/v1/nodes")["total"]) == (404, 3)
    named = json.loads(front.ask("POST", "/v1/approve", {"machines": [M8]}, who="operator").body)
    assert [node["name"] for node in named["nodes"]] == ["r1"]


def test_machines_are_collected_as_they_come(front: Front) -> None:
    places = {"names": "m[1-3]", "image": "tiny", "address": "10.0.0.21"}
    free = json.loads(front.ask("POST", "/v1/places", places, who="operator").body)
    assert [place["name"] for place in free["places"]] == ["m1", "m2", "m3"]
    front.desk.machines.saw(Machine(mac(9), last_seen=free["since"] + 1))
    wanted = {"places": places, "since": free["since"]}
    named = json.loads(front.ask("POST", "/v1/collect", wanted, who="operator").body)
    assert ([(node["name"], node["macs"]) for node in named["nodes"]], named["left"]) == ([("m1", [str(mac(9))])], 2)
    placed = front.ask("POST", f"/v1/machines/{M8}/assign", {"name": "m3"})
    assert json.loads(placed.body)["address"] == "10.0.0.23", "as the place has it"
    last = json.loads(front.ask("POST", "/v1/collect", wanted).body)
    assert (last["nodes"], last["left"]) == ([], 1)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/v1/machines/nonsense", None, 404, "no machine 'nonsense'"),
        ("POST", f"/v1/machines/{M8}/assign", {"name": "m1"}, 422, "what shall m1 run?"),
        ("POST", f"/v1/machines/{M8}/assign", {"name": "M1", "image": "tiny"}, 422, "is not a node name"),
        ("POST", f"/v1/machines/{M8}/assign", {"name": "n1", "image": "tiny"}, 409, "the name is taken"),
        ("POST", f"/v1/machines/{M8}/assign", {"name": "m1", "image": "tiny", "address": "10.9.0.1"}, 422, "none"),
        ("POST", f"/v1/machines/{M8}/assign", {"name": "m1", "image": "tiny", "console": "a b"}, 422, "console"),
        ("POST", "/v1/places", {"names": "n[1-3]", "image": "tiny"}, 422, "taken or reserved"),
        ("POST", "/v1/collect", {"places": {"names": "m1", "image": "no"}}, 404, "no image 'no'"),
        ("POST", "/v1/collect", {"places": {"names": "m1", "image": "tiny"}, "since": -1}, 422, "is no time"),
        ("PUT", "/v1/nodes/n1/power", {"url": "telnet:x"}, 422, "no kind of power control"),
        ("PUT", "/v1/nodes/n1/power", {"url": "ipmi://admin@bmc"}, 422, "a BMC wants a password"),
        ("PUT", "/v1/nodes/n1/power", {"url": "ipmi://admin:x@bmc", "password": "x"}, 422, "holds no password"),
        ("GET", "/v1/groups/rack/power", None, 404, "nothing is said"),
        ("PUT", "/v1/groups/none/power", {"url": "wol:"}, 404, "no group 'none'"),
    ],
)  # fmt: skip
def test_what_is_refused(front: Front, method: str, path: str, body: Any, status: int, said: str) -> None:
    answer = front.ask(method, path, body)
    assert (answer.status, said in what(answer)) == (status, True), answer
    assert front.get("/v1/nodes")["total"] == 3
    assert len(front.get("/v1/machines")["machines"]) == 1


def test_what_switches_the_power(front: Front) -> None:
    assert front.get("/v1/nodes/n1/power")["url"] == "wol:"
    said = {"url": "redfish://admin@{name}-bmc", "password": "geheim", "verify": False}
    assert front.ask("PUT", "/v1/groups/rack/power", said).status == 200
    answer = front.ask("GET", "/v1/nodes/n1/power")
    assert json.loads(answer.body) == {"url": "redfish://admin@n1-bmc", "fingerprint": "", "verify": False}
    assert front.ask("PUT", "/v1/nodes/n1/power", {"url": "ipmi://root@10.0.0.9", "password": "geheim"}).status == 200
    assert Powers(front.desk.engine).nodes()["n1"].password == "geheim"
    assert front.get("/v1/nodes/n1/power")["url"] == "ipmi://root@10.0.0.9"
    told = json.dumps(front.get("/v1/events?limit=50"))
    assert "ipmi://root@10.0.0.9" in told and "geheim" not in told
    assert front.ask("DELETE", "/v1/nodes/n1/power").status == 204
    assert front.ask("DELETE", "/v1/groups/rack/power").status == 204
    assert front.get("/v1/nodes/n1/power")["url"] == "wol:"
