"""The first report of an installed system: the scripts themselves, run against a socket that answers as a server."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.image import ImageFacts
from imaged.model.plan import MakeLink, WriteFile
from imaged.planning.fixups.first_boot import report_up
from tests.planning.test_fixups import TARGET

pytestmark = pytest.mark.processes

SYSTEMD = ImageFacts("x86_64", commands=("systemctl",), files=("/etc/runlevels/default",))
OPENRC = ImageFacts("x86_64", files=("/etc/runlevels/default",))
BUSYBOX = ("nc", "head", "cut", "cat")


def answering(lines: list[str], asked: list[bytes]) -> socket.socket:
    """A port that gives each connection the next of ``lines``, once it has read a whole request."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for line in lines:
            connection, _ = listening.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                asked.append(request)
                connection.sendall(f"HTTP/1.0 {line}\r\nContent-Length: 0\r\n\r\n".encode())

    threading.Thread(target=serve, daemon=True).start()
    return listening


def programs(home: Path) -> str:
    """BusyBox's alone, and a sleep that does not."""
    home.mkdir()
    for name in BUSYBOX:
        (home / name).symlink_to(shutil.which("busybox") or "")
    (home / "sleep").write_text("#!/bin/sh\n")
    (home / "sleep").chmod(0o755)
    return str(home)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["204 No Content"], "reported to 127.0.0.1\nrun-state ready"),
        (["503 Service Unavailable", "500 No", "204 No Content"], "reported to 127.0.0.1\nrun-state ready"),
        (["401 Unauthorized"], "the server refused: 401 (this node was re-defined or removed)"),
    ],
)
@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox")
def test_busybox_reports(lines: list[str], said: str, tmp_path: Path) -> None:
    script = report_up(evolve(TARGET, facts=OPENRC))[0]
    assert isinstance(script, WriteFile)
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "run-state").write_text('#!/bin/sh\necho run-state "$@"\n')
    (tmp_path / "run-state").chmod(0o755)
    told = script.content.replace("/var/lib/imaged/secret", f"{tmp_path}/secret")
    (tmp_path / "report-up").write_text(told.replace("/usr/lib/imaged/run-state", f"{tmp_path}/run-state"))
    asked: list[bytes] = []
    with answering(lines, asked) as server:
        done = subprocess.run(
            ("busybox", "sh", str(tmp_path / "report-up"), "127.0.0.1", str(server.getsockname()[1])),
            capture_output=True, text=True, check=True, timeout=60,
            env={"PATH": f"{programs(tmp_path / 'bin')}:{os.defpath}"},
        )  # fmt: skip
    assert done.stdout == f"{said}\n"
    assert len(asked) == len(lines)
    assert all(request.startswith(b"POST /v1/up HTTP/1.0\r\n") for request in asked)
    assert all(b"\r\nAuthorization: Bearer s3cret\r\n" in request for request in asked)


def test_the_service_is_that_of_the_images_init() -> None:
    unit, openrc = report_up(evolve(TARGET, facts=SYSTEMD)), report_up(evolve(TARGET, facts=OPENRC))
    assert [step.path for step in unit if isinstance(step, WriteFile | MakeLink)] == [
        "/usr/lib/imaged/report-up",
        "/etc/systemd/system/imaged-up.service",
        "/etc/systemd/system/multi-user.target.wants/imaged-up.service",
        "/etc/systemd/system/timers.target.wants/imaged-daily.timer",
    ]
    _, service, link, daily = openrc
    assert link == MakeLink("/etc/runlevels/default/imaged-up", "/etc/init.d/imaged-up", "enabled")
    assert isinstance(service, WriteFile)
    assert service.mode == "0755"
    assert 'command_args="10.0.0.1 8080"' in service.content
    assert isinstance(daily, WriteFile)
    assert daily.path == "/etc/periodic/daily/imaged"
    for each in (service, daily):
        subprocess.run(("sh", "-n"), input=each.content, text=True, check=True)
