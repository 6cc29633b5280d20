"""What requests are answered: values, statuses, and that no input at all is answered by a fault of ours."""

import json
from typing import Any

import pytest
from attrs import fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaged.daemon.api.table import ROUTES
from imaged.daemon.asked import Asked
from imaged.model.boot import LOADERS
from imaged.model.node import NodeEvent
from imaged.model.report import Report, Status
from imaged.store.events import Events
from tests.daemon.api.office import NOW, Front, front, make_front

__all__ = ["front"]
NEW = {"name": "n9", "macs": ["52:54:00:00:00:09"], "image": "tiny", "address": "10.0.0.9", "groups": ["rack"]}


def what(answer: Any) -> str:
    problem = json.loads(answer.body)
    assert problem.keys() == {"what", "where", "hint"}
    return f"{problem['where']}: {problem['what']}"


def test_a_node_from_its_definition_to_its_end(front: Front) -> None:
    made = front.ask("POST", "/v1/nodes", NEW)
    assert made.status == 201
    shown = json.loads(made.body)
    assert (shown["name"], shown["address"], shown["state"], shown["groups"]) == ("n9", "10.0.0.9", "defined", ["rack"])
    assert front.get("/v1/nodes/n9") == shown
    changed = front.ask("PATCH", "/v1/nodes/n9", {"address": "", "console": "ttyS0", "leave": ["rack"]})
    assert json.loads(changed.body) == {**shown, "address": None, "console": "ttyS0", "groups": []}
    assert json.loads(front.ask("PUT", "/v1/nodes/n9/boot", {"action": "local"}).body)["action"] == "local"
    wanted = {"action": "install", "breaks": ["mkfs:after"], "then": "shell", "plan": ""}
    answer = json.loads(front.ask("PUT", "/v1/nodes/n9/boot", wanted).body)
    assert answer == front.get("/v1/nodes/n9/boot") == {**answer, **wanted}
    for loader in LOADERS.values():
        (front.desk.state.boot / loader).parent.mkdir(parents=True, exist_ok=True)
        (front.desk.state.boot / loader).write_bytes(b"iPXE")
    script = {"action": "ipxe", "script": "#!ipxe\nshell\n"}
    once = json.loads(front.ask("PUT", "/v1/nodes/n9/boot", script).body)
    assert (once["once"], once["script"]) == (True, "#!ipxe\nshell\n")
    replaced = front.ask("POST", "/v1/nodes/n9/replace", {"macs": ["52:54:00:00:00:0a"], "disks_moved": True})
    assert json.loads(replaced.body)["macs"] == ["52:54:00:00:00:0a"]
    assert front.ask("DELETE", "/v1/nodes/n9").status == 204
    assert front.ask("GET", "/v1/nodes/n9").status == 404
    assert {event.who for event in Events(front.desk.engine).last(6, ("n9",))} == {"token:admin"}


def test_a_boot_that_is_for_once(front: Front) -> None:
    asked = {"action": "rescue", "once": True}
    assert json.loads(front.ask("PUT", "/v1/nodes/n1/boot", asked).body)["once"] is True
    assert str(front.desk.nodes.booting("n1")) == "rescue, then install"
    for action in ("kernel", "ipxe"):  # they need files that are on the server, or run there
        assert front.ask("PUT", "/v1/nodes/n1/boot", {"action": action}).status == 422
    assert front.ask("PUT", "/v1/nodes/n1/boot", {"action": "memtest"}).status == 404, "mkramdisk brings it"
    assert front.ask("PUT", "/v1/nodes/n1/boot", front.get("/v1/nodes/n1/boot")).status == 200


def test_many_nodes_at_once(front: Front) -> None:
    assert json.loads(front.ask("PATCH", "/v1/nodes?nodes=n[1-2]", {"image": "tiny@1"}).body) == {"names": ["n1", "n2"]}
    assert [node["image"] for node in front.get("/v1/nodes")["nodes"]] == ["tiny@1", "tiny@1", "tiny@stable"]
    booted = front.ask("POST", "/v1/boot?nodes=@rack", {"action": "rescue"}, who="operator")
    assert json.loads(booted.body) == {"names": ["n1", "n2"]}
    assert front.ask("DELETE", "/v1/nodes?nodes=n[1-9]").status == 404
    assert front.get("/v1/nodes")["total"] == 3
    assert json.loads(front.ask("DELETE", "/v1/nodes?nodes=@rack").body) == {"names": ["n1", "n2"]}


def test_pages(front: Front) -> None:
    first = front.get("/v1/nodes?limit=2")
    assert ([node["name"] for node in first["nodes"]], first["total"], first["next"]) == (["n1", "n2"], 3, "n2")
    rest = front.get("/v1/nodes?limit=2&after=n2")
    assert ([node["name"] for node in rest["nodes"]], rest["next"]) == (["n3"], None)
    assert [node["name"] for node in front.get("/v1/nodes?nodes=@rack!n1")["nodes"]] == ["n2"]
    assert front.get("/v1/nodes?state=ready")["nodes"] == []


def test_what_is_known_of_a_node(front: Front) -> None:
    assert front.get("/v1/nodes/n1/facts")["installed"] is None
    assert front.get("/v1/nodes/n1/inventory")["firmware"] == "bios"
    plan = front.get("/v1/nodes/n1/plan")
    assert plan["text"].startswith("Install of tiny@2 on n1")
    assert front.ask("PUT", "/v1/nodes/n1/boot", {"action": "install", "plan": plan["hash"]}).status == 200
    assert what(front.ask("GET", "/v1/nodes/n2/plan")).endswith("its hardware is not known yet")
    assert front.get("/v1/nodes/n1/reports") == {"reports": []}
    assert front.ask("GET", "/v1/nodes/n1/log").status == 404
    front.desk.state.logs.mkdir(parents=True)
    (front.desk.state.logs / "n1.log").write_text("one\ntwo\nthree\n")
    (front.desk.state.logs / "n1.console").write_text("Oops\n")
    assert front.ask("GET", "/v1/nodes/n1/log?console=true").body == b"Oops\n"
    answer = front.ask("GET", "/v1/nodes/n1/log?lines=2")
    assert (answer.body, answer.headers["Content-Type"]) == (b"two\nthree\n", "text/plain; charset=utf-8")
    front.ask("PATCH", "/v1/nodes/n1/host", {"timezone": "UTC"})
    front.ask("PATCH", "/v1/nodes/n1/host", {"keyboard": "de"})
    assert {key: text for key, text in front.get("/v1/nodes/n1/host").items() if text} == {
        "timezone": "UTC", "keyboard": "de"
    }  # fmt: skip
    front.ask("PUT", "/v1/nodes/n1/host", {"locale": "C.UTF-8"})
    assert {key for key, text in front.get("/v1/nodes/n1/host").items() if text} == {"locale"}
    assert any(each["layer"] == "imaged" for each in front.get("/v1/nodes/n1/overrides")["paths"])
    assert front.get("/v1/nodes/n1/scripts") == {"scripts": [], "runs": []}


def test_how_nodes_do(front: Front) -> None:
    front.desk.nodes.record("n2", NodeEvent.CLAIMED)
    front.desk.nodes.add_report("n2", NOW, Report("transfer", Status.PROGRESS, 9.0, percent=40.0))
    (course,) = front.get("/v1/monitor?nodes=n2")["nodes"]
    assert (course["standing"], course["phase"], course["seen"]) == ("installing", "transfer", 0.0)
    assert [each["node"] for each in front.get("/v1/monitor")["nodes"]] == ["n1", "n2", "n3"]
    assert [each["node"] for each in front.get("/v1/monitor?standing=installing")["nodes"]] == ["n2"]


def test_groups(front: Front) -> None:
    made = front.ask("POST", "/v1/groups", {"name": "gpu", "priority": 7, "host": {"timezone": "UTC"}})
    unsaid = {"image": "", "layout": "", "console": "", "variables": {}, "first": ""}
    assert (made.status, json.loads(made.body)) == (201, {"name": "gpu", "priority": 7, "setup": unsaid, "nodes": []})
    changed = json.loads(front.ask("PATCH", "/v1/groups/rack", {"console": "ttyS1", "first": "local"}).body)
    assert (changed["group"]["setup"]["first"], changed["effects"][0]["nodes"]) == ("local", ["n1", "n2"])
    assert "nothing to begin with" in what(front.ask("PATCH", "/v1/groups/rack", {"first": "memtest"}))
    added = json.loads(front.ask("POST", "/v1/nodes", {**NEW, "image": ""}).body)
    assert (added["action"], added["console"]) == ("local", "ttyS1")
    values = {each["what"]: each for each in front.get("/v1/nodes/n9/explained")["values"]}
    assert (values["first-boot"]["value"], values["first-boot"]["source"]) == ("local", "group rack")
    assert front.ask("DELETE", "/v1/nodes/n9").status == 204
    assert [group["name"] for group in front.get("/v1/groups")["groups"]] == ["rack", "gpu"]
    assert front.get("/v1/groups/gpu/host")["timezone"] == "UTC"
    assert "2 nodes are in it" in what(front.ask("DELETE", "/v1/groups/rack"))
    assert front.ask("DELETE", "/v1/groups/rack?force=true").status == 204


def test_images_versions_and_channels(front: Front) -> None:
    assert front.get("/v1/images/tiny") == {"name": "tiny", "versions": [1, 2], "channels": {"stable": 2}}
    moved = front.ask("PUT", "/v1/images/tiny/channels/canary", {"version": 1})
    assert json.loads(moved.body) == {"image": "tiny", "channel": "canary", "version": 1, "before": None}
    back = front.ask("POST", "/v1/images/tiny/channels/stable/rollback")
    assert json.loads(back.body)["version"] == 1
    assert front.ask("POST", "/v1/images/tiny/channels/stable/rollback").status == 404
    version = front.get("/v1/images/tiny/versions/1")
    assert (version["channels"], version["users"][0]) == (["canary", "stable"], "n1 (assigned)")
    assert front.get("/v1/images/tiny/diff?old=1&new=2&limit=0")["counts"]["add"] == 0
    fates = json.loads(front.ask("POST", "/v1/images/tiny/prune", {"keep": 0, "dry_run": True}).body)["versions"]
    assert [(fate["version"], fate["goes"]) for fate in fates] == [("tiny@1", False), ("tiny@2", True)]
    assert "is used by" in what(front.ask("POST", "/v1/images/tiny/rename", {"name": "other"}))
    assert "is what the channel" in what(front.ask("DELETE", "/v1/images/tiny/versions/1?force=true"))
    assert front.ask("DELETE", "/v1/images/tiny/versions/2").status == 204
    assert front.get("/v1/images/tiny/versions")["versions"][0]["version"]["number"] == 1


def test_the_site(front: Front) -> None:
    assert front.get("/v1/events?subject=rack&limit=1")["events"][0]["what"] == "group added"
    assert "one-disk" in front.get("/v1/layouts")["names"]
    assert front.ask("GET", "/v1/layouts/one-disk").body.startswith(b"# The whole system on one disk")
    exported = front.ask("GET", "/v1/export/csv?nodes=@*").body.decode()
    files = [{"text": exported.replace("00:00:0", "00:01:0").replace("n", "m"), "form": "auto"}]
    assert front.ask("POST", "/v1/import", {"files": files}).status == 422
    front.ask("DELETE", "/v1/nodes?nodes=@*")
    dry = front.ask("POST", "/v1/import", {"files": [{"text": exported, "form": "auto"}], "dry_run": True})
    assert (json.loads(dry.body)["nodes"], front.get("/v1/nodes")["total"]) == (["n1", "n2", "n3"], 0)
    assert front.ask("POST", "/v1/import", {"files": [{"text": exported}]}).status == 200
    assert front.get("/v1/nodes")["total"] == 3


def test_tokens_open_and_close(front: Front) -> None:
    made = json.loads(front.ask("POST", "/v1/tokens", {"name": "ci", "role": "operator", "days": 1}).body)
    assert front.get("/v1/whoami", who=made["secret"]) == {"name": "token:ci", "role": "operator"}
    assert "ci" in [token["name"] for token in front.get("/v1/tokens")["tokens"]]
    assert made["secret"] not in json.dumps(front.get("/v1/tokens"))
    assert front.ask("DELETE", "/v1/tokens/ci").status == 204
    assert front.ask("GET", "/v1/whoami", who=made["secret"]).status == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/v1/nothing", None, 404, "no such path"),
        ("GET", "/v1/nodes/", None, 404, "no such path"),
        ("GET", "/v1/nodes/n9", None, 404, "no node 'n9'"),
        ("POST", "/v1/nodes/n1", None, 405, "POST is nothing"),
        ("GET", "/v1/nodes?nodes=n[1-", None, 400, "n[1-"),
        ("GET", "/v1/nodes?nodes=n[1-99999999]", None, 400, "more than 100000"),
        ("GET", "/v1/nodes?nodes=n[1-4]", None, 404, "no node 'n4'"),
        ("GET", "/v1/nodes?nodes=n[1-4]&state=ready", None, 404, "no node 'n4'"),
        ("GET", "/v1/nodes?limit=0", None, 400, "limit: 0 is not within"),
        ("GET", "/v1/nodes?limit=x", None, 400, "limit: expected a whole number"),
        ("GET", "/v1/nodes?limit=1&limit=2", None, 400, "?limit: is there twice"),
        ("GET", "/v1/nodes?lmit=1", None, 400, "unknown key 'lmit' (did you mean 'limit'?)"),
        ("GET", "/v1/groups?x=1", None, 400, "no 'x' to ask for"),
        ("GET", "/v1/nodes?nodes=%ff", None, 400, "not what a query"),
        ("GET", "/v1/nodes?nodes=%00", None, 400, "NUL"),
        ("GET", "/v1/nodes/%ff", None, 400, "not UTF-8"),
        ("GET", "/v1/nodes/%00", None, 400, "NUL"),
        ("GET", "/v1/images/..", None, 404, "there is no image"),
        ("GET", "/v1/images/%2e%2e%2f", None, 404, "there is no image"),
        ("GET", "/v1/layouts/..%2f..%2fetc%2fpasswd", None, 404, "there is no layout"),
        ("GET", "/v1/nodes/..%2fn1/log", None, 404, "no node"),
        ("GET", "/v1/images/tiny/diff", None, 400, "'old' is missing"),
        ("GET", "/v1/images/tiny/versions/0", None, 404, "no version 0"),
        ("GET", "/v1/images/tiny/versions/x", None, 404, "is not the number"),
        ("GET", "/v1/export/nonsense?nodes=n1", None, 404, "no form of a file"),
        ("GET", "/v1/events/stream?after=x", None, 400, "no place in the feed"),
        ("DELETE", "/v1/nodes", None, 400, "'nodes' is missing"),
        ("POST", "/v1/nodes", b"[", 400, "not JSON"),
        ("POST", "/v1/nodes", b"[" * 100_000, 400, "nested too deeply"),
        ("POST", "/v1/nodes", b"\xff", 400, "not JSON"),
        ("POST", "/v1/nodes", [], 422, "expected a mapping"),
        ("POST", "/v1/nodes", {"name": "n9"}, 422, "'macs' is missing"),
        ("POST", "/v1/nodes", {**NEW, "grups": []}, 422, "did you mean 'groups'"),
        ("POST", "/v1/nodes", {**NEW, "address": "10.9.0.1"}, 422, "address: 10.9.0.1 is in none of our subnets"),
        ("POST", "/v1/nodes", {**NEW, "name": "n1"}, 409, "the name or the address 10.0.0.9 is taken"),
        ("POST", "/v1/nodes", {**NEW, "image": "no"}, 404, "there is no image 'no'"),
        ("POST", "/v1/groups", {"name": "x", "priority": 10**30}, 422, "not within"),
        ("PUT", "/v1/images/tiny/channels/7", {"version": 1}, 422, "not a channel name"),
        ("PUT", "/v1/images/tiny/channels/x", {"version": -1}, 404, "no version -1"),
        ("POST", "/v1/import", {"files": [{"text": "x", "form": "y"}]}, 422, "no form of a file"),
    ],
)  # fmt: skip
def test_what_is_refused(front: Front, method: str, path: str, body: Any, status: int, said: str) -> None:
    answer = front.ask(method, path, body)
    assert (answer.status, said in what(answer)) == (status, True), answer
    assert front.get("/v1/nodes")["total"] == 3


def test_what_a_body_must_be(front: Front) -> None:
    assert front.ask("POST", "/v1/nodes", NEW, content_type="text/plain").status == 415
    assert front.ask("POST", "/v1/nodes", NEW, content_type="Application/JSON; charset=utf-8").status == 201
    bearer = {"authorization": f"Bearer {front.secrets['admin']}", "content-type": "application/json"}
    assert front.office.answer(Asked("POST", "/v1/nodes", headers=bearer, too_large=True)).status == 413
    assert front.ask("POST", "/v1/nodes/n1").headers["Allow"] == "DELETE, GET, HEAD, PATCH"


def test_a_change_of_what_is_no_more_what_was_seen(front: Front) -> None:
    tag = front.ask("GET", "/v1/nodes/n1").headers["ETag"]
    assert front.ask("GET", "/v1/nodes/n1", if_none_match=f'"other", W/{tag}').status == 304
    assert front.ask("PATCH", "/v1/nodes/n1", {"console": "ttyS0"}, if_match=tag).status == 200
    assert front.ask("PATCH", "/v1/nodes/n1", {"console": "ttyS1"}, if_match=tag).status == 412
    assert front.get("/v1/nodes/n1")["console"] == "ttyS0"
    assert front.ask("PATCH", "/v1/nodes/n1", {"console": "ttyS1"}, if_match="*").status == 200
    assert front.ask("PATCH", "/v1/nodes/n9", {"console": "ttyS1"}, if_match="*").status == 412
    assert front.ask("GET", "/v1/nodes/n1", if_none_match=tag).status == 200


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = ("n1", "tiny", "stable", "rack", "1", "csv", "one-disk", "@*", "", "..", "%2f", "\0")
WORDS = st.sampled_from(KNOWN) | st.text(max_size=10)
KEYS = {
    (route.method, route.path): [field.name for field in fields(route.operation.body)]
    for route in ROUTES
    if route.operation.body
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Front:
    front = make_front(tmp_path_factory.mktemp("any"))
    front.desk.jobs.close()  # nothing is begun: BMCs and this machine are left in peace
    return front


@settings(max_examples=400, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_input_is_answered_by_a_fault_of_ours(shared: Front, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([route for route in ROUTES if "tokens" not in route.path]))
    path = route.path
    for name in ("name", "number", "channel", "form", "mac"):
        path = path.replace(f"{{{name}}}", data.draw(WORDS))
    query = data.draw(
        st.sampled_from(["", "nodes=@*", "nodes=n1", "old=1&new=2", "force=true", "limit=1"]) | st.text(max_size=12)
    )
    known = KEYS.get((route.method, route.path), [])
    body = data.draw(JSONS | st.dictionaries(st.sampled_from(known), JSONS | WORDS) if known else JSONS)
    answer = shared.ask(route.method, f"{path}?{query}", body)
    assert answer.status < 500, answer
