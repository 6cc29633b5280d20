"""Which steps switch a node's power, who is asked first, and how fast they follow each other: tables."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from imaged.model.errors import BadInput, Conflict
from imaged.model.hardware import Firmware
from imaged.model.net import Mac
from imaged.model.power import WAKE_ON_LAN, PowerAccess, PowerAction, PowerAddress, PowerKind, PowerState
from imaged.model.settings import Subnet
from imaged.planning import power
from imaged.planning.power import Pace, PowerStep

ON, OFF, UNKNOWN = PowerState.ON, PowerState.OFF, PowerState.UNKNOWN
CYCLE = (PowerStep.OFF, PowerStep.AWAIT_OFF, PowerStep.ON)


@pytest.mark.parametrize(
    ("action", "state", "steps", "told"),
    [
        (PowerAction.STATUS, ON, (), "on"),
        (PowerAction.STATUS, OFF, (), "off"),
        (PowerAction.STATUS, UNKNOWN, (), "unknown"),
        (PowerAction.ON, ON, (), "was on already"),
        (PowerAction.ON, OFF, (PowerStep.ON,), "on"),
        (PowerAction.ON, UNKNOWN, (PowerStep.ON,), "on"),
        (PowerAction.OFF, ON, (PowerStep.OFF,), "off"),
        (PowerAction.OFF, OFF, (), "was off already"),
        (PowerAction.OFF, UNKNOWN, (PowerStep.OFF,), "off"),
        (PowerAction.SOFT, ON, (PowerStep.SOFT,), "asked to shut down"),
        (PowerAction.SOFT, OFF, (), "was off already"),
        (PowerAction.CYCLE, ON, CYCLE, "off and on"),
        (PowerAction.CYCLE, UNKNOWN, CYCLE, "off and on"),
        (PowerAction.CYCLE, OFF, (PowerStep.ON,), "on"),
        (PowerAction.RESET, ON, (PowerStep.RESET,), "reset"),
    ],
)
def test_steps_and_what_is_said_of_them(
    action: PowerAction, state: PowerState, steps: tuple[PowerStep, ...], told: str
) -> None:
    assert power.steps(action, state, network=False) == steps
    assert power.told(action, state, steps) == told


@pytest.mark.parametrize("action", [PowerAction.ON, PowerAction.CYCLE, PowerAction.RESET])
def test_the_network_is_chosen_before_anything_is_switched(action: PowerAction) -> None:
    for state in (ON, UNKNOWN) if action is PowerAction.RESET else PowerState:
        plain = power.steps(action, state, network=False)
        steps = power.steps(action, state, network=True)
        assert steps == ((PowerStep.NETWORK, *plain) if plain else ())
        assert power.told(action, state, steps).endswith(", boots from the network" if plain else "already")


def test_what_is_off_is_not_reset() -> None:
    with pytest.raises(Conflict, match="is off"):
        power.steps(PowerAction.RESET, OFF, network=True)


@pytest.mark.parametrize("action", list(PowerAction))
def test_whose_work_is_cut_off_is_asked_first(action: PowerAction) -> None:
    cut = {state for state in PowerState if power.cuts(action, state)}
    assert cut == (set() if action in (PowerAction.STATUS, PowerAction.ON) else {ON, UNKNOWN})


@pytest.mark.parametrize("action", list(PowerAction))
def test_a_magic_packet_can_do_one_thing(action: PowerAction) -> None:
    if action is PowerAction.ON:
        power.refuse(PowerKind.WOL, action, network=True)
    elif action is not PowerAction.STATUS:
        with pytest.raises(BadInput, match="only switches on"):
            power.refuse(PowerKind.WOL, action, network=False)
    if action in (PowerAction.STATUS, PowerAction.OFF, PowerAction.SOFT):
        with pytest.raises(BadInput, match="nothing starts by"):
            power.refuse(PowerKind.IPMI, action, network=True)
    power.refuse(PowerKind.REDFISH, action, network=False)


OWN = PowerAccess(PowerAddress.parse("ipmi://admin@10.0.0.9"), "a")
RACK = PowerAccess(PowerAddress.parse("redfish://root@{name}-bmc"), "b", "ab" * 32)
SITE = PowerAccess(PowerAddress.parse("ipmi://site@{name}-ipmi"), "c")


@pytest.mark.parametrize(
    ("own", "groups", "expected"),
    [
        (None, (), WAKE_ON_LAN),
        (OWN, (), OWN),
        (OWN, (SITE, RACK), OWN),
        (WAKE_ON_LAN, (SITE,), WAKE_ON_LAN),
        (None, (SITE, RACK), PowerAccess(PowerAddress.parse("redfish://root@n7-bmc"), "b", "ab" * 32)),
        (None, (RACK, SITE), PowerAccess(PowerAddress.parse("ipmi://site@n7-ipmi"), "c")),
    ],
)
def test_the_nearest_word_holds(
    own: PowerAccess | None, groups: tuple[PowerAccess, ...], expected: PowerAccess
) -> None:
    assert power.access(own, groups, "n7") == expected


@pytest.mark.parametrize(
    ("found", "seen", "expected"),
    [
        (Firmware.BIOS, ("x86_64-efi",), Firmware.BIOS),
        (Firmware.UEFI, ("bios",), Firmware.UEFI),
        (None, ("bios",), Firmware.BIOS),
        (None, ("x86_64-efi",), Firmware.UEFI),
        (None, (), Firmware.UEFI),
    ],
)
def test_firmware(found: Firmware | None, seen: tuple[str, ...], expected: Firmware) -> None:
    assert power.firmware(found, seen) is expected


def test_a_magic_packet() -> None:
    packet = power.magic_packet(Mac.parse("52:54:00:12:34:56"))
    assert (len(packet), packet[:6], packet[6:12], packet[-6:]) == (
        102, bytes.fromhex("ffffffffffff"), bytes.fromhex("525400123456"), bytes.fromhex("525400123456")
    )  # fmt: skip


def test_packets_go_to_the_nodes_own_subnet_where_it_is_known() -> None:
    subnets = tuple(Subnet(IPv4Network(each)) for each in ("10.0.0.0/24", "10.1.0.0/16"))
    ends = (IPv4Address("10.0.0.255"), IPv4Address("10.1.255.255"))
    assert power.broadcasts(None, subnets) == power.broadcasts(IPv4Address("10.9.0.1"), subnets) == ends
    assert power.broadcasts(IPv4Address("10.1.2.3"), subnets) == ends[1:]
    assert power.broadcasts(None, ()) == ()


def test_a_pace() -> None:
    pace = Pace(fanout=2, stagger=5.0)
    assert pace.pause(100.0, 0) == 0.0
    pace.began(100.0)
    assert pace.pause(100.0, 1) == 5.0
    assert pace.pause(104.0, 1) == 1.0
    assert pace.pause(104.0, 2) is None
    assert pace.pause(200.0, 1) == 0.0


def test_without_a_stagger_all_begin_at_once_up_to_the_fan_out() -> None:
    pace = Pace(fanout=3)
    assert [pace.pause(1.0, running) for running in range(4)] == [0.0, 0.0, 0.0, None]
    pace.began(1.0)
    assert pace.pause(1.0, 1) == 0.0
    for bad in ({"fanout": 0}, {"fanout": 1, "stagger": -1.0}):
        with pytest.raises(BadInput):
            Pace(**bad)
