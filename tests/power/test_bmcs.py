"""Our clients against BMCs of other makers' programs: what is switched, what is refused, who does not answer."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import Denied, ImagedError, Unreachable
from imaged.model.hardware import Firmware
from imaged.model.power import PowerAccess, PowerAction, PowerState
from imaged.power.bmc import Order, Outcome
from imaged.power.certificate import certificate
from imaged.power.fanout import Ended, Work, fan_out
from tests.power.emulators import (
    IPMI_SIM,
    PASSWORD,
    Board,
    Service,
    access,
    boards,
    free_port,
    redfish,
)

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(IPMI_SIM is None, reason="openipmi is not installed"),
]
LONG = 60.0  # seconds that a BMC may take, on a busy machine


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with redfish(tmp_path_factory.mktemp("redfish")) as service:
        yield service


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with boards(tmp_path, 1) as made:
        yield made[0]


def do(
    whom: PowerAccess, action: PowerAction, firmware: Firmware = Firmware.UEFI, *, network: bool = False,
    seconds: float = LONG,
) -> Outcome:  # fmt: skip
    """In a process of its own, as always; a fault is raised."""
    (ended,) = fan_out(Work((Order("n1", whom, action, seconds, network, firmware),), 1))
    assert ended.node == "n1"
    if ended.fault:
        raise ended.fault.error()
    assert ended.outcome
    return ended.outcome


def test_ipmi_from_off_to_off(board: Board) -> None:
    said = [
        do(board.access, action, network=action is PowerAction.CYCLE).text
        for action in (
            PowerAction.STATUS, PowerAction.ON, PowerAction.ON, PowerAction.CYCLE, PowerAction.RESET, PowerAction.SOFT,
            PowerAction.OFF, PowerAction.OFF, PowerAction.STATUS,
        )
    ]  # fmt: skip
    assert said == [
        "off", "on", "was on already", "off and on, boots from the network", "reset", "asked to shut down",
        "off", "was off already", "off",
    ]  # fmt: skip
    assert board.asked == [
        "set power 1", "set boot pxe", "set power 0", "set power 1", "set reset 1", "set shutdown 1", "set power 0",
    ]  # fmt: skip
    with pytest.raises(ImagedError, match="nothing to reset"):
        do(board.access, PowerAction.RESET)


@pytest.mark.parametrize(("firmware", "flags"), [(Firmware.UEFI, "a0"), (Firmware.BIOS, "80")])
def test_ipmi_boots_from_the_network_once_in_the_nodes_own_mode(tmp_path: Path, firmware: Firmware, flags: str) -> None:
    """IPMI 2.0, table 28-14: parameter 5 valid, not persistent, 0x20 for UEFI; device 1 is PXE. Parameter 3: for as
    long as it takes, not for a minute only."""
    with boards(tmp_path, 1, on=True) as made:
        do(made[0].access, PowerAction.RESET, firmware, network=True)
    assert made[0].requests() == ["8 03 08", f"8 05 {flags} 04 00 00 00", "2 03"]


def test_ipmi_refuses_a_wrong_password_at_once(board: Board) -> None:
    with pytest.raises(Denied, match="refused") as refused:
        do(evolve(board.access, password="guess"), PowerAction.OFF)
    assert "guess" not in str(refused.value)
    with pytest.raises(Denied, match="refused"):
        do(access(f"ipmi://nobody@127.0.0.1:{board.port}"), PowerAction.OFF)
    assert board.asked == []


def test_ipmi_tells_who_is_not_there() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with pytest.raises(Unreachable, match=f"ipmi://admin@127.0.0.1:{port}: no answer"):
        do(access(f"ipmi://admin@127.0.0.1:{port}"), PowerAction.STATUS, seconds=0.1)
    for name in ("no-such-bmc.invalid", f"{'x' * 70}.invalid"):
        with pytest.raises(Unreachable, match="name is not known"):
            do(access(f"ipmi://admin@{name}"), PowerAction.STATUS)


def test_redfish_from_off_to_off(service: Service) -> None:
    said = [
        do(service.access, action, Firmware.BIOS, network=action is PowerAction.CYCLE).text
        for action in (
            PowerAction.STATUS, PowerAction.ON, PowerAction.CYCLE, PowerAction.RESET, PowerAction.SOFT, PowerAction.OFF,
        )
    ]  # fmt: skip
    assert said == [
        "off", "on", "off and on, boots from the network", "reset", "asked to shut down", "was off already",
    ]  # fmt: skip
    assert service.boot() == ("Pxe", "Legacy")


def test_redfish_finds_its_only_system_by_itself(service: Service) -> None:
    for path in ("", "/redfish/v1"):
        short = access(f"redfish://admin@127.0.0.1:{service.port}{path}", fingerprint=service.fingerprint)
        assert do(short, PowerAction.STATUS).before is PowerState.OFF


def test_redfish_takes_no_certificate_that_nobody_vouches_for(service: Service) -> None:
    plain = access(service.url)
    with pytest.raises(Denied, match="nobody vouches") as refused:
        do(plain, PowerAction.STATUS)
    assert f"--fingerprint {service.fingerprint}" in refused.value.hint
    with pytest.raises(Denied, match="nobody vouches"):
        do(evolve(plain, fingerprint="ab" * 32), PowerAction.STATUS)
    with pytest.raises(Denied, match="nobody vouches"):  # a pin holds, whatever else is said
        do(evolve(plain, fingerprint="ab" * 32, verify=False), PowerAction.STATUS)
    assert do(evolve(plain, verify=False), PowerAction.STATUS).text == "off"
    assert certificate(plain.address, LONG) == service.fingerprint


def test_redfish_takes_a_certificate_that_an_authority_of_this_server_vouches_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy of somebody's shell is asked for the way to a BMC."""
    monkeypatch.setenv("SSL_CERT_FILE", str(service.certificate))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert do(access(service.url), PowerAction.STATUS).text == "off"


def test_redfish_refuses_a_wrong_password_and_a_system_that_is_not_there(service: Service) -> None:
    with pytest.raises(Denied, match="refused") as refused:
        do(evolve(service.access, password="guess"), PowerAction.OFF)
    assert "guess" not in str(refused.value)
    address = evolve(service.access.address, path="/redfish/v1/Systems/none")
    with pytest.raises(ImagedError, match="none"):
        do(evolve(service.access, address=address), PowerAction.STATUS)


def test_redfish_tells_who_is_not_there() -> None:
    port = free_port(socket.SOCK_STREAM)
    with pytest.raises(Unreachable, match="no answer"):
        do(access(f"redfish://admin@127.0.0.1:{port}"), PowerAction.STATUS)
    with pytest.raises(Unreachable, match="shows no certificate"):
        certificate(access(f"redfish://admin@127.0.0.1:{port}").address, LONG)


def test_sixty_four_at_once_with_dead_odd_and_closed_ones_among_them(tmp_path: Path) -> None:
    """The odd one speaks IPMI 1.5 only."""
    with boards(tmp_path, 64, odd={7}) as made:
        whom = {f"n{number}": board.access for number, board in enumerate(made)}
        whom["n5"] = evolve(whom["n5"], password="guess")
        made[9].process.kill()
        orders = (Order(name, access, PowerAction.CYCLE, 6.0, network=True) for name, access in whom.items())
        heard: list[Ended] = []
        ended = fan_out(Work(tuple(orders), 64), heard.append)
        assert tuple(heard) == ended
        faults = {each.node: (each.fault.kind, each.fault.what.partition(" (")[0]) for each in ended if each.fault}
        assert faults == {
            "n5": ("Denied", "user or password is refused"),
            "n7": ("ImagedError", "what it says is not understood"),
            "n9": ("Unreachable", "no answer"),
        }
        assert sorted(each.node for each in ended) == sorted(whom)
        assert {each.outcome.text for each in ended if each.outcome} == {"on, boots from the network"}
        assert [number for number, board in enumerate(made) if not board.on] == [5, 7, 9]


def test_one_at_a_time_is_in_order(tmp_path: Path) -> None:
    with boards(tmp_path, 3) as made:
        orders = tuple(Order(f"n{at}", board.access, PowerAction.ON, LONG) for at, board in enumerate(made))
        ended = fan_out(Work(orders, 1, stagger=0.01))
        assert [(each.node, each.outcome and each.outcome.text) for each in ended] == [
            ("n0", "on"), ("n1", "on"), ("n2", "on"),
        ]  # fmt: skip


def test_a_bmc_that_takes_connections_and_says_nothing_holds_up_nobody(board: Board) -> None:
    with socket.socket() as tarpit:
        tarpit.bind(("127.0.0.1", 0))
        tarpit.listen()
        silent = access(f"redfish://admin@127.0.0.1:{tarpit.getsockname()[1]}", verify=False)
        orders = (
            Order("n1", silent, PowerAction.STATUS, 1.0),
            Order("n2", board.access, PowerAction.STATUS, LONG),
        )
        ended = {each.node: each for each in fan_out(Work(orders, 2))}
    assert ended["n1"].fault and ended["n1"].fault.kind == "Unreachable"
    assert ended["n2"].outcome and ended["n2"].outcome.text == "off"


def test_no_password_is_in_an_argument_or_the_environment_of_a_process(board: Board) -> None:
    """While one waits for a BMC that does not answer."""
    dead = access(f"ipmi://admin@127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
    seen: list[bytes] = []

    def look(_: Ended) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if int((process / "stat").read_text().rpartition(")")[2].split()[1]) in family():
                    seen.extend((process / name).read_bytes() for name in ("cmdline", "environ"))

    orders = (Order("n1", board.access, PowerAction.STATUS, LONG), Order("n2", dead, PowerAction.STATUS, 1.0))
    ended = fan_out(Work(orders, 2), look)
    assert len(ended) == 2
    assert any(b"imaged.power" in each for each in seen)
    assert not any(PASSWORD.encode() in each for each in seen)


def family() -> set[int]:
    """This process and its children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {os.getpid(), *map(int, children)}


@pytest.mark.parametrize(("number", "told"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "_Ended")])
def test_who_is_told_to_end_begins_no_more_and_waits_for_those_that_have_begun(
    tmp_path: Path, number: signal.Signals, told: str
) -> None:
    """Ctrl-C goes to all processes of the terminal, SIGTERM to one."""
    script = "from tests.power.interrupted import main; main()"
    with boards(tmp_path, 3, on=True) as made:
        made[1].hold()
        child = subprocess.Popen(
            (sys.executable, "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, text=True, start_new_session=True,
        )  # fmt: skip
        assert child.stdin and child.stdout
        with child, child.stdin:
            json.dump([board.port for board in made], child.stdin)
            child.stdin.close()
            assert child.stdout.readline() == "n0\n"
            made[1].await_held()
            (os.killpg if number is signal.SIGINT else os.kill)(child.pid, number)
            made[1].release()
            assert child.stdout.read() == f"n1\n{told}\n"
        assert [board.asked for board in made] == [["set power 0", "set power 1"]] * 2 + [[]]
