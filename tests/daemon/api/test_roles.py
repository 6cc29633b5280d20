"""Every route and every role: who is let in, who is told to say who they are, who may not."""

import json
from pathlib import Path

import pytest

from imaged.admin import people
from imaged.daemon.api.route import Route
from imaged.daemon.api.table import ROUTES, described
from imaged.model.access import Role
from imaged.model.talk import Claim
from imaged.planning.access import may
from tests.admin.site import mac
from tests.daemon.api.office import NOW, Front, make_front

NAMES = {"name": "nobody", "mac": "52:54:00:00:00:77", "number": "99", "channel": "none", "form": "none"}
STRANGERS = ("", "wrong", "expired", "boot", "node", "session")
SAID = (*((None, each) for each in STRANGERS), *((role, role.value) for role in Role))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Front:
    """Nothing is changed by what these tests ask for: there is nothing of these names.

    Beside tokens there are the boot token of a node, the secret that it traded one for, and the session of an admin on
    the page: all good, and none of them is a token of the API.
    """
    front = make_front(tmp_path_factory.mktemp("roles"))
    provisioning = front.office.provisioning
    boot, traded = (provisioning.boot_script(mac(number), "").split("imaged.token=")[1].split()[0] for number in (1, 2))
    secret = "an agent makes it, and tells it once"
    provisioning.claim(Claim(traded, secret))
    assert provisioning.holder(secret) == "n2"
    people.add(front.desk, "ada", Role.ADMIN, "correct horse")
    front.secrets.update(boot=boot, node=secret, session=people.log_in(front.desk, "ada", "correct horse", NOW))
    return front


@pytest.mark.parametrize("who", SAID, ids=lambda who: who[1] or "nobody")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method}{route.path}")
def test_who_may_ask(shared: Front, route: Route, who: tuple[Role | None, str]) -> None:
    role, token = who
    answer = shared.ask(route.method, route.path.format(**NAMES), who=token)
    if route.role is None:
        assert answer.status == 200
    elif role is None:
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="imaged"')
    elif may(role, route.role):
        assert answer.status in (200, 400, 404, 415), answer
    else:
        assert (answer.status, json.loads(answer.body)["what"]) == (
            403, f"this needs the role {route.role.value}, and token:{token} has {token}"
        )  # fmt: skip


def test_everything_that_changes_something_needs_more_than_to_read() -> None:
    assert [route for route in ROUTES if route.method != "GET" and route.role in (None, Role.READ)] == []
    assert [route.path for route in ROUTES if route.role is None] == ["/v1/openapi.json"]


def test_no_route_hides_another() -> None:
    """A literal path and one with a name in its place: a node of that name would be out of reach."""
    for route in ROUTES:
        for other in ROUTES:
            parts, others = route.path.split("/"), other.path.split("/")
            same = len(parts) == len(others) and all(
                a == b or "{" in a + b for a, b in zip(parts, others, strict=True)
            )  # fmt: skip
            assert route is other or not same or route.path == other.path, (route.path, other.path)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_the_document_has_every_route_and_what_it_refers_to(tmp_path: Path) -> None:
    document = described(ROUTES, "http://10.0.0.1:8080")
    paths = document["paths"]
    assert {(method.upper(), path) for path in paths for method in paths[path]} == {  # type: ignore[attr-defined,index]
        (route.method, route.path) for route in ROUTES
    }
    text = json.dumps(document)
    for name in {each.partition('"')[0] for each in text.split('"#/components/schemas/')[1:]}:
        assert name in document["components"]["schemas"]  # type: ignore[index]
    operations = [each for path in paths.values() for each in path.values()]  # type: ignore[attr-defined]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)
