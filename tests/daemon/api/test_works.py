"""What takes longer than a request, over the API: power, installs, the doctor, files into images; and users."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from imaged.admin import people
from imaged.store.events import Events
from tests.daemon.api.office import Front, front
from tests.power.emulators import IPMI_SIM, PASSWORD, USER, boards

__all__ = ["front"]


def job(front: Front, answer: Any) -> dict[str, Any]:
    """What came of it, when all have ended."""
    assert answer.status == 202, answer
    begun = json.loads(answer.body)
    assert (begun["ended"], begun["said"], begun["who"].startswith("token:")) == (None, [], True)
    front.desk.jobs._threads.shutdown()
    found: dict[str, Any] = front.get(f"/v1/jobs/{begun['number']}")
    assert front.get("/v1/jobs")["jobs"] == [found]
    return found


@pytest.mark.skipif(IPMI_SIM is None, reason="openipmi is not installed")
@pytest.mark.parametrize("verb", ["off", "install"])
def test_machines_are_switched_and_their_history_tells_it(front: Front, tmp_path: Path, verb: str) -> None:
    with boards(tmp_path / "boards", 2, on=True) as made:
        made[1].process.kill()
        for name, board in zip(("n1", "n2"), made, strict=True):
            said = {"url": f"ipmi://{USER}@127.0.0.1:{board.port}", "password": PASSWORD}
            assert front.ask("PUT", f"/v1/power?nodes={name}", said).status == 200
        front.ask("PUT", "/v1/nodes/n2/boot", {"action": "local"})
        limits = {"limits": {"seconds": 5}}
        path, body = ("/v1/install", limits) if verb == "install" else ("/v1/power", {"action": verb, **limits})
        done = job(front, front.ask("POST", f"{path}?nodes=n[1-2]", body, who="operator"))
        said = {each["about"]: each for each in done["said"]}
        assert (done["what"], done["about"], done["problem"]) == (f"power {verb}", "n[1-2]", "")
        assert (said["n1"]["failed"], said["n2"]["failed"]) == (False, True)
        asked = (tmp_path / "boards").rglob("asked")
        assert any("set power 0" in path.read_text() for path in asked)
    for name in ("n1", "n2"):
        (event,) = Events(front.desk.engine).last(9, (name,), what="power")
        assert (event.who, event.after) == ("token:operator", {verb: said[name]["text"]})
    if verb == "install":
        assert [front.get(f"/v1/nodes/{name}/boot")["action"] for name in ("n1", "n2")] == ["install", "local"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/power?nodes=n9", {"action": "on"}, 404, "no node 'n9'"),
        ("/v1/power?nodes=@none", {"action": "on"}, 404, "no group 'none'"),
        ("/v1/power", {"action": "on"}, 400, "'nodes' is missing"),
        ("/v1/power?nodes=n1", {"action": "explode"}, 422, "explode"),
        ("/v1/power?nodes=n1", {"action": "off", "network": True}, 422, "nothing starts by off"),
        ("/v1/power?nodes=n1", {"action": "on", "limits": {"fanout": 0}}, 422, "not within 1 to 1024"),
        ("/v1/install?nodes=n1", {"then": "explode"}, 422, "explode"),
        ("/v1/install?nodes=n1", {"plan": "x"}, 422, "plan"),
        ("/v1/jobs/7/stop", None, 404, "no job 7"),
        ("/v1/jobs/x/stop", None, 404, "not the number"),
        ("/v1/images/tiny/syncfiles", {"files": ["relative"]}, 422, "relative"),
        ("/v1/images/none/syncfiles", {}, 404, "no image 'none'"),
    ],
)  # fmt: skip
def test_what_is_refused_begins_nothing(front: Front, path: str, body: Any, status: int, said: str) -> None:
    answer = front.ask("POST", path, body)
    assert (answer.status, said in answer.body.decode()) == (status, True), answer
    assert front.get("/v1/jobs")["jobs"] == []


@pytest.mark.processes
def test_the_doctor_looks_and_mends(front: Front, tmp_path: Path) -> None:
    assert front.ask("GET", "/v1/doctor").status == 404
    state, front.desk.path = front.desk.state, tmp_path / "imaged.yaml"
    front.desk.path.write_text(
        f"address: 10.0.0.1\nstate: {state.root}\ndhcp: {{subnets: [{{network: 10.0.0.0/24}}]}}\n"
        "http: {port: 1}\ntftp: {port: 2}\nrsync: {port: 3}\n"
    )
    state.run.mkdir(exist_ok=True)
    state.root.chmod(0o777)
    done = job(front, front.ask("POST", "/v1/doctor/repair", {"probe": False}))
    assert (done["what"], done["problem"]) == ("repair", "")
    assert any("repair: chmod" in each["text"] for each in done["said"])
    found = front.get("/v1/doctor")["findings"]
    assert {"settings", "rights", "database"} <= {each["check"] for each in found}
    mended = [each for each in found if each["repaired"] == "done"]
    assert any(str(state.root) in each["repair"] for each in mended)
    assert state.root.stat().st_mode & 0o777 != 0o777
    events = Events(front.desk.engine).last(9, what="repaired")
    assert {event.who for event in events} == {"token:admin"}


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make an image")
def test_files_go_into_an_image(front: Front, tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("Hello\n")
    (front.desk.state.syncfiles).write_text(f"all:\n- {{path: /etc/motd, source: {tmp_path}/motd}}\n")
    assert front.get("/v1/nodes/n1/syncfiles") == {"paths": ["/etc/motd"]}
    done = job(front, front.ask("POST", "/v1/images/tiny/syncfiles", {"channel": "canary"}))
    assert (done["problem"], done["said"][-1]["text"]) == ("", "tiny@3 was made")
    assert front.get("/v1/images/tiny")["channels"] == {"canary": 3, "stable": 2}


def test_what_people_have_written_beside_the_database(front: Front) -> None:
    assert front.get("/v1/rules") == {"rules": []}
    assert front.get("/v1/states") == {"states": []}
    for word in ("zeal", "ready"):
        (front.desk.state.root / "scripts/state" / word).mkdir(parents=True)
        (front.desk.state.root / "scripts/state" / word / "10all.x").write_text("#!/bin/sh\n")
    assert front.get("/v1/states") == {"states": ["ready", "zeal"]}


def test_users_come_and_go(front: Front) -> None:
    new = {"name": "ada", "password": "correct horse", "role": "operator"}
    made = front.ask("POST", "/v1/users", new)
    assert (made.status, json.loads(made.body)["role"]) == (201, "operator")
    assert front.ask("POST", "/v1/users", new).status == 409
    assert front.ask("POST", "/v1/users", {**new, "name": "bob", "password": "short"}).status == 422
    secret = people.log_in(front.desk, "ada", "correct horse", 1000.0)
    assert front.ask("PUT", "/v1/users/ada/password", {"password": "another horse"}).status == 204
    assert people.caller(front.desk, secret, 1001.0) is None, "logged out"
    assert front.ask("PUT", "/v1/users/eve/password", {"password": "another horse"}).status == 404
    assert [user["name"] for user in front.get("/v1/users")["users"]] == ["ada"]
    assert front.ask("DELETE", "/v1/users/ada").status == 204
    told = json.dumps(front.get("/v1/events?limit=50"))
    assert "user removed" in told and "horse" not in told
