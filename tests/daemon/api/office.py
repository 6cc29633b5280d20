"""An office that answers requests for the tests: a server with nodes, images and a token of each role."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from imaged.admin.desk import Desk
from imaged.daemon.api.answering import Answer, Office
from imaged.daemon.api.table import ROUTES
from imaged.daemon.asked import Asked
from imaged.daemon.provisioning import Provisioning
from imaged.model.access import Role
from imaged.model.codec import to_json
from imaged.model.machine import Machine
from imaged.store.apitokens import ApiTokens
from tests.admin.site import mac, make
from tests.daemon.test_provisioning import MACHINE

NOW = 1000.0


@frozen
class Front:
    """An office and the secrets of its tokens."""

    office: Office
    secrets: dict[str, str]

    @property
    def desk(self) -> Desk:
        return self.office.desk

    def ask(self, method: str, path: str, body: Any = None, *, who: str = "admin", **headers: str) -> Answer:
        """``body`` is sent as JSON, bytes as they are; underscores of ``headers`` are dashes."""
        path, _, query = path.partition("?")
        said = {name.replace("_", "-"): text for name, text in headers.items()}
        if who:
            said["authorization"] = f"Bearer {self.secrets.get(who, who)}"
        if body is not None:
            said.setdefault("content-type", "application/json")
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.office.answer(Asked(method, path, query, said, content))

    def get(self, path: str, **headers: str) -> Any:
        """What is there, which must be there."""
        answer = self.ask("GET", path, **headers)
        assert answer.status == 200, answer
        return json.loads(answer.body)


def make_front(root: Path) -> Front:
    desk = make(root)
    desk.machines.saw(Machine(mac(8), arch="bios", last_seen=5.0))
    desk.nodes.keep("n1", inventory=to_json(MACHINE))
    tokens = ApiTokens(desk.engine)
    secrets = {role.value: tokens.add(role.value, role, None) for role in Role}
    secrets["expired"] = tokens.add("expired", Role.ADMIN, NOW - 1)
    office = Office(desk, Provisioning(desk.settings, lambda: NOW), ROUTES, lambda: NOW)
    return Front(office, secrets)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    yield make_front(tmp_path / "state")
