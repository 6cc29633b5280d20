"""Every line of docs/api.md that asks the server something, against one that runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from imaged.admin import tokens
from imaged.admin.images import publish
from imaged.admin.tokens import NewToken
from imaged.model.access import Role
from imaged.model.codec import to_json
from imaged.model.group import Group
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.node import Node
from tests.admin.site import desk_in, fill_image, mac
from tests.daemon.api.running import running
from tests.daemon.test_provisioning import MACHINE

PAGE = Path(__file__).parents[3] / "docs/api.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_examples_are_true(tmp_path: Path) -> None:
    desk = desk_in(tmp_path / "state")
    fill_image(desk, "compute")
    publish(desk, ImageRef.parse("compute@2"), "canary")
    desk.groups.add(Group("rack1"))
    for number in (1, 2, 3):
        desk.nodes.add(Node(f"node0{number}", (mac(number),), ImageRef.parse("compute")))
        desk.nodes.keep(f"node0{number}", inventory=to_json(evolve(MACHINE, boot_mac=mac(number))))
        desk.groups.put(f"node0{number}", ("rack1",))
    desk.machines.saw(Machine(mac(8), last_seen=5.0))
    desk.state.logs.mkdir()
    (desk.state.logs / "node01.log").write_text("2026-11-21T00:00:00Z wipe started\n")
    secret = tokens.add(desk, NewToken("docs", Role.ADMIN)).secret
    lines = [line[4:] for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    asking = [line for line in lines if "curl " in line]
    assert len(asking) >= 20
    with running(desk.state.root) as url:
        shell = [f"URL={url}/v1", *(line for line in lines if line.startswith("AUTH=")), *asking]
        script = "set -euo pipefail\n" + "\n".join(
            line.replace("curl -sS", "curl --fail-with-body -sS") for line in shell
        )
        script = script.replace("/var/lib/imaged", str(desk.state.root))
        said = {**os.environ, "TOKEN": secret, "BMC": "geheim"}
        line = ("bash", "-xc", script)
        done = subprocess.run(line, env=said, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ('"name": "node09"', '"names": ["node02", "node03"]', '"role": "admin"', "event: event"):
        assert said in done.stdout, (said, done.stdout)
