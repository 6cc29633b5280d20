"""A running daemon against schemathesis: whatever its document allows or forbids, it answers as the document says."""

import subprocess
import sys
from pathlib import Path

from imaged.admin import tokens
from imaged.admin.tokens import NewToken
from imaged.daemon.api.table import ROUTES
from imaged.model.access import Role
from imaged.model.codec import to_json
from imaged.model.machine import Machine
from tests.admin.site import mac, make
from tests.daemon.api.running import running
from tests.daemon.test_provisioning import MACHINE

CONFIG = Path(__file__).parent / "schemathesis.toml"
LEFT_OUT = 8  # routes: seven that the configuration names, and the document
EXAMPLES = 5  # of each operation, beside the boundaries of its schema: some 2,500 requests in all


def test_the_daemon_does_as_its_document_says(tmp_path: Path) -> None:
    desk = make(tmp_path / "state")
    desk.machines.saw(Machine(mac(8), arch="bios", last_seen=5.0))
    for name in ("n1", "n2"):
        desk.nodes.keep(name, inventory=to_json(MACHINE))
    desk.state.logs.mkdir()
    (desk.state.logs / "n1.log").write_text("2026-11-21T00:00:00Z wipe started\n")
    secret = tokens.add(desk, NewToken("fuzz", Role.ADMIN)).secret
    with running(desk.state.root) as url:
        line = (
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{url}/v1/openapi.json",
            "--header", f"Authorization: Bearer {secret}", "--phases", "coverage,fuzzing", "--seed", "1",
            "--max-examples", str(EXAMPLES), "--request-timeout", "60", "--continue-on-failure", "--warnings", "off",
        )  # fmt: skip
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(ROUTES) - LEFT_OUT}\n" in done.stdout, done.stdout
