"""The verbs for power as a person types them, with simulated BMCs behind them."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.codec import to_json
from imaged.model.errors import ImagedError
from imaged.model.wishes import Break, Wishes
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.powers import Powers
from tests.cli.test_nodes import site
from tests.power.emulators import IPMI_SIM, PASSWORD, USER, Board, Service, boards, redfish

__all__ = ["site"]
needs_sim = pytest.mark.skipif(IPMI_SIM is None, reason="openipmi is not installed")


def call(site: Path, *words: str, said: str = "") -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(site), *words], input=said)


def text(result: Result) -> str:
    return result.output + (str(result.exception) if isinstance(result.exception, ImagedError) else "")


@pytest.fixture
def password(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return str(path)


@pytest.fixture
def rack(site: Path) -> Path:
    """n1 to n4, which start from their own disks; n1 and n2 are in rack1."""
    call(site, "addgroup", "rack1")
    for number in range(1, 5):
        group = ("--group", "rack1") if number < 3 else ()
        words = ("--mac", f"52:54:00:00:00:0{number}", "--image", "tiny", "--action", "local", *group)
        call(site, "addnode", f"n{number}", *words)
    return site


@pytest.fixture
def bmcs(rack: Path, tmp_path: Path, password: str) -> Iterator[list[Board]]:
    """n1 and n2 have a BMC each and run; n3 has one that is dead; n4 has none."""
    with boards(tmp_path / "boards", 3, on=True) as made:
        made[2].process.kill()
        for number, board in enumerate(made, start=1):
            url = f"ipmi://{USER}@127.0.0.1:{board.port}"
            assert call(rack, "setpower", f"n{number}", url, "--password-file", password).exit_code == 0
        yield made


def actions(site: Path) -> dict[str, str]:
    found = json.loads(call(site, "lsnode", "--json").output)["nodes"]
    return {node["name"]: node["action"] for node in found}


def store(site: Path) -> Nodes:
    return Nodes(open_database(site.parent / "state/imaged.sqlite"))


def test_what_is_said_is_shown_and_no_password_ever(rack: Path, password: str) -> None:
    said = [
        call(rack, "setpower", "n[1-2]", "ipmi://admin@{name}-bmc", "--password-file", password),
        call(rack, "setpower", "rack1", "redfish://root@{name}-bmc", "--group", "--password-file", "-", said="other\n"),
        call(rack, "setpower", "n2", "--clear"),
        call(rack, "setpower", "n3", "wol:"),
        call(rack, "setpower", "@*"),
        call(rack, "setpower", "rack1", "--group"),
        call(rack, "setpower", "rack1", "--group", "--clear"),
        call(rack, "setpower", "n[1-2]"),
    ]
    assert [each.output for each in said] == [
        "n[1-2]: ipmi://admin@{name}-bmc\n",
        "group rack1: redfish://root@{name}-bmc\n",
        "n2: as their groups say, else a magic packet\n",
        "n3: a magic packet\n",
        "n[3-4]: a magic packet\nn1: ipmi://admin@n1-bmc\nn2: redfish://root@n2-bmc\n",
        "group rack1: redfish://root@{name}-bmc\n",
        "group rack1: nothing is said\n",
        "n1: ipmi://admin@n1-bmc\nn2: a magic packet\n",
    ]
    shown = "".join(call(rack, *words).output for words in (("lsnode", "--json"), ("lsevent", "--json"), ("lsgroup",)))
    assert "ipmi://admin@{name}-bmc" in shown
    assert PASSWORD not in shown and "other" not in shown


def test_a_password_is_asked_for_and_not_echoed(rack: Path) -> None:
    words = ("--settings", str(rack), "setpower", "n1", "ipmi://admin@10.0.0.9")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, (sys.executable, "-m", "imaged", *words))
    seen = b""
    try:
        for _ in range(2):
            while not seen.endswith(b": "):
                seen += os.read(terminal, 1000)
            os.write(terminal, f"{PASSWORD}\n".encode())
            seen += b"|"
        while chunk := os.read(terminal, 1000):
            seen += chunk
    except OSError:  # it has ended
        pass
    os.waitpid(pid, 0)
    assert b"Password of ipmi://admin@10.0.0.9" in seen
    assert b"n1: ipmi://admin@10.0.0.9" in seen
    assert PASSWORD.encode() not in seen
    assert Powers(open_database(rack.parent / "state/imaged.sqlite")).nodes()["n1"].password == PASSWORD


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("setpower", "n9", "wol:"), "no node 'n9'"),
        (("setpower", "n1", "http://a@b"), "no kind of power control"),
        (("setpower", "n1", "ipmi://admin:secret@b"), "holds no password"),
        (("setpower", "n1", "ipmi://admin@b"), "nobody to ask for the password"),
        (("setpower", "n1", "ipmi://admin@b", "--password-file", "/dev/null"), "the password is empty"),
        (("setpower", "n1", "ipmi://admin@b", "--pin", "--password-file", "PASSWORD"), "only Redfish shows"),
        (("setpower", "n1", "wol:", "--password-file", "PASSWORD"), "needs no password"),
        (("setpower", "n1", "redfish://admin@b", "--pin", "--no-verify", "--password-file", "PASSWORD"), "exclude"),
        (("setpower", "n1", "redfish://admin@b", "--fingerprint", "ab", "--password-file", "PASSWORD"), "SHA-256"),
        (("setpower", "n1", "redfish://a@127.0.0.1:1", "--pin", "--password-file", "PASSWORD"), "shows no certificate"),
        (("setpower", "rack1", "redfish://a@b", "--group", "--pin", "--password-file", "PASSWORD"), "of their own"),
        (("setpower", "rack9", "wol:", "--group"), "no group 'rack9'"),
        (("setpower", "n1", "wol:", "--clear"), "forgets, and takes nothing"),
        (("setpower", "n1", "--pin"), "what does it belong to?"),
        (("power", "n9", "on"), "no node 'n9'"),
        (("power", "@rack1!n[1-2]", "on"), "no such nodes"),
        (("power", "n1", "explode"), "'explode' is not one of"),
        (("power", "n1", "off", "--network"), "nothing starts by off"),
        (("power", "n1", "off", "--yes"), "a magic packet only switches on"),
        (("power", "n1", "on", "--fanout", "0"), "not in the range"),
        (("power", "n1", "on", "--stagger", "-1"), "not in the range"),
        (("install", "n9"), "no node 'n9'"),
        (("install", "n[1-2]", "--plan", "0" * 16), "a plan is of one node only"),
        (("install", "n1", "--break", "lunch"), "no phase to wait at"),
    ],
)  # fmt: skip
def test_refused(rack: Path, password: str, words: tuple[str, ...], why: str) -> None:
    result = call(rack, *(password if word == "PASSWORD" else word for word in words))
    assert result.exit_code
    assert why in text(result)
    assert "secret" not in text(result)
    assert Powers(open_database(rack.parent / "state/imaged.sqlite")).nodes() == {}
    assert set(actions(rack).values()) == {"local"}


@needs_sim
def test_equal_answers_are_shown_once_and_the_dead_are_named(rack: Path, bmcs: list[Board]) -> None:
    result = call(rack, "power", "@*", "status", "--timeout", "1")
    assert sorted(result.output.splitlines()) == ["n3: no answer", "n4: not known, there is no BMC", "n[1-2]: on"]
    assert text(result).endswith("n3: 1 of 4 nodes failed")
    assert result.exit_code == 1
    assert call(rack, "power", "n[1-2]", "off", "--yes").output == "n[1-2]: off\n"
    assert [board.on for board in bmcs[:2]] == [False, False]


@needs_sim
def test_who_runs_is_named_before_the_power_is_cut(rack: Path, bmcs: list[Board]) -> None:
    call(rack, "power", "n2", "off", "--yes")
    asked = call(rack, "power", "n[1-3]", "cycle", "--timeout", "1", said="n\n")
    assert "n1 is on (1). Cut the power and start again? [y/N]: n" in asked.output
    assert bmcs[0].asked == []
    agreed = call(rack, "power", "n[1-3]", "cycle", "--network", "--timeout", "1", said="y\n")
    assert sorted(agreed.output.splitlines()[1:]) == [
        "n1: off and on, boots from the network", "n2: on, boots from the network", "n3: no answer",
    ]  # fmt: skip
    assert bmcs[0].asked == ["set boot pxe", "set power 0", "set power 1"]
    assert "(1)" not in call(rack, "power", "n2", "on").output, "nobody is asked where nothing is cut"


@needs_sim
def test_install_now(rack: Path, bmcs: list[Board]) -> None:
    """Whoever did not go boots as it would have."""
    call(rack, "boot", "n3", "rescue")
    result = call(rack, "install", "n[1-3]", "--power", "--yes", "--timeout", "1", "--break", "wipe")
    assert sorted(result.output.splitlines()) == [
        "n3: no answer",
        "n[1-2]: next network boot: install, waits wipe:before; off and on, boots from the network",
    ]
    assert text(result).endswith("n3: 1 of 3 nodes failed")
    assert actions(rack) == {"n1": "install", "n2": "install", "n3": "rescue", "n4": "local"}
    assert [board.asked for board in bmcs] == [["set boot pxe", "set power 0", "set power 1"]] * 2 + [[]]
    wishes = to_json(Wishes((Break("wipe"),)))
    assert [store(rack).fact(name, "wishes") for name in ("n1", "n2", "n3")] == [wishes, wishes, None]


@needs_sim
def test_install_now_that_is_declined_changes_nothing(rack: Path, bmcs: list[Board]) -> None:
    result = call(rack, "install", "n[1-2]", "--power", said="n\n")
    assert "n[1-2] are on (2). Cut the power and start again?" in result.output
    assert result.exit_code
    assert set(actions(rack).values()) == {"local"}
    assert [board.asked for board in bmcs[:2]] == [[], []]


def test_install_later(rack: Path) -> None:
    words = ("install", "n[1-2]", "--then", "kexec")
    assert call(rack, *words).output == "".join(f"n{at}: next network boot: install, then kexec\n" for at in (1, 2))
    assert actions(rack) == {"n1": "install", "n2": "install", "n3": "local", "n4": "local"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with redfish(tmp_path) as service:
        yield service


def test_redfish_with_its_certificate_pinned(rack: Path, service: Service, password: str) -> None:
    assert call(rack, "setpower", "n4", service.url, "--password-file", password).exit_code == 0
    refused = call(rack, "power", "n4", "status")
    assert "n4: nobody vouches for its certificate" in refused.output
    assert f"--fingerprint {service.fingerprint}" in refused.output
    pinned = call(rack, "setpower", "n4", service.url, "--password-file", password, "--pin")
    assert pinned.output == f"n4: {service.url}, certificate {service.fingerprint}\n"
    assert call(rack, "power", "n4", "status").output == "n4: off\n"
    spoken = "AB:" * 31 + "AB"
    call(rack, "setpower", "n4", service.url, "--password-file", password, "--fingerprint", spoken)
    assert "nobody vouches" in call(rack, "power", "n4", "status").output
    trusting = call(rack, "setpower", "n4", service.url, "--password-file", password, "--no-verify")
    assert trusting.output == f"n4: {service.url}, any certificate\n"
    assert call(rack, "power", "n4", "on").output == "n4: on\n"


def test_the_program_itself_starts_without_the_libraries_of_bmcs() -> None:
    """A verb that needs none of them is not to wait for them."""
    script = (
        "import sys, imaged.cli.power, imaged.cli.install, imaged.cli.setpower\n"
        "print([each for each in ('pyghmi', 'sushy', 'requests') if each in sys.modules])"
    )
    done = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
