"""Values survive the wire; anything else is refused with the path of every fault."""

import enum
import json
import types
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Any, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaged.model.codec import decode, from_json, from_plain, to_json, to_plain
from imaged.model.errors import BadInput
from imaged.model.hardware import Disk, Firmware, Inventory, Nic, Smbios
from imaged.model.image import Version
from imaged.model.layout import DiskSpec
from imaged.model.names import ImageRef
from imaged.model.net import AddressRange, Mac
from imaged.model.plan import InstallPlan, KeepSecret, Reboot, RunInTarget, Step, SyncTree, WipeDisk, WriteFile
from imaged.model.report import Report, Status
from imaged.model.settings import Settings
from imaged.model.size import Bytes, SizeBounds, SizeSpec
from imaged.model.talk import Claim, Claimed, PlanAnswer, PlanRequest, Problem
from imaged.model.update import Triggered, UpdatePlan

_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    Bytes: st.integers(0, 2**63).map(Bytes),
    Mac: st.binary(min_size=6, max_size=6).map(lambda raw: Mac.from_bytes(bytes((raw[0] & 0xFE,)) + raw[1:])),
    SizeBounds: st.tuples(st.integers(0, 2**40), st.none() | st.integers(2**40, 2**60)).map(lambda b: SizeBounds(*b)),
}


def _any(kind: Any) -> st.SearchStrategy[Any]:
    """Every value of a type: of each field anything that its type allows."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    if get_origin(kind) is tuple:
        return st.lists(_any(get_args(kind)[0]), max_size=2).map(tuple)
    if get_origin(kind) is dict:
        return st.dictionaries(*map(_any, get_args(kind)), max_size=2)
    if get_origin(kind) in (types.UnionType, Union):
        return st.one_of([_any(each) for each in get_args(kind)])
    fields = {field.name: _any(field.type) for field in attrs.fields(kind)}
    return st.builds(kind, **fields)


_ON_THE_WIRE = (
    Inventory, InstallPlan, Report, Claim, Claimed, PlanRequest, PlanAnswer, Problem, Version, Disk, Nic, DiskSpec,
)  # fmt: skip


@given(st.sampled_from(_ON_THE_WIRE).flatmap(_any))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_crosses_the_wire_arrives_as_it_was(value: Any) -> None:
    assert from_json(to_json(value), type(value)) == value


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(("arch", "disks", "nics", "size", "step", "phases", "x")), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
@settings(deadline=None)
def test_any_plain_data_is_a_value_or_bad_input(data: Any) -> None:
    for kind in (Inventory, InstallPlan, Report, DiskSpec, SizeSpec, Settings):
        value, faults = decode(data, kind)
        assert (value is None) == bool(faults)


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_text_is_a_value_or_bad_input(text: str | bytes) -> None:
    try:
        from_json(text, Report)
    except BadInput as error:
        assert error.what


_INVENTORY: dict[str, Any] = {
    "arch": "x86_64", "firmware": "uefi", "memory": 1, "cpus": 1, "disks": [{"path": "/dev/vda", "size": 5}],
    "nics": [{"name": "eth0", "mac": "52:54:00:12:34:56"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"memory": "1"}, "memory: expected a whole number, got '1'"),
        ({"memory": True}, "memory: expected a whole number, got True"),
        ({"memory": 1.0}, "memory: expected a whole number, got 1.0"),
        ({"arch": 5}, "arch: expected a string, got 5"),
        ({"arch": None}, "arch: expected a string, got None"),
        ({"arch": "\ud800"}, "arch: '\\ud800' is not Unicode text"),
        ({"firmware": "efi"}, "firmware: 'efi' is not one of bios, uefi"),
        ({"secure_boot": 1}, "secure_boot: expected true or false, got 1"),
        ({"disks": {}}, "disks: expected a list, got {}"),
        ({"disks": "sda"}, "disks: expected a list, got 'sda'"),
        ({"disks": [[]]}, "disks[0]: expected a mapping of keys, got []"),
        ({"disks": [{"path": "/dev/vda"}]}, "disks[0].size: the key 'size' is missing"),
        ({"disks": [{"path": "/dev/vda", "size": 1, "seriall": ""}]}, "unknown key 'seriall' (did you mean 'serial'?)"),
        ({"nics": [{"name": "eth0", "mac": "01:00:5e:00:00:01"}]}, "nics[0].mac: '01:00:5e:00:00:01' is a group"),
        ({"nics": [{"name": "eth0", "mac": 7}]}, "nics[0].mac: expected a string, got 7"),
        ({"smbios": []}, "smbios: expected a mapping of keys, got []"),
        ({"zzz": 1}, "unknown key 'zzz' (known: arch, firmware"),
    ],
)
def test_a_fault_names_its_path(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_plain(_INVENTORY | change, Inventory, where="request")
    assert fault in str(caught.value)
    assert str(caught.value).startswith("request: ")


def test_all_faults_are_named_at_once() -> None:
    _, faults = decode(_INVENTORY | {"memory": "1", "disks": [{"path": 1, "size": 1}, 5], "extra": 1}, Inventory)
    assert sorted(fault.path for fault in faults) == ["", "disks[0].path", "disks[1]", "memory"]


@pytest.mark.parametrize(
    ("at", "path", "said"),
    [("a", "b", "a.b: x"), ("", "b", "b: x"), ("a", "", "a: x"), ("", "", "x"), ("a", "[0]", "a[0]: x")],
)
def test_a_fault_of_a_part_is_a_fault_of_the_whole(at: str, path: str, said: str) -> None:
    _, faults = decode(5, Inventory)
    assert str(attrs.evolve(faults[0], path=path, text="x").below(at)) == said


def test_steps_are_told_apart_by_name() -> None:
    assert to_plain(Reboot()) == {"step": "Reboot"}
    assert from_plain({"step": "Reboot"}, Step) == Reboot()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"step": "Format"}, "phases[0].steps[0]: 'Format' is no step of a plan"),
        ({"step": ["x"]}, "phases[0].steps[0]: ['x'] is no step of a plan"),
        ({}, "phases[0].steps[0]: {} is no step of a plan"),
        ("Reboot", "phases[0].steps[0]: 'Reboot' is no step of a plan"),
        ({"step": "Reboot", "now": True}, "phases[0].steps[0]: unknown key 'now'"),
        ({"step": "Mount", "disk": "/dev/vda", "number": 1, "fs": "zfs", "at": "/"}, "phases[0].steps[0].fs: 'zfs'"),
    ],
)
def test_a_plan_holds_steps_only(step: Any, fault: str) -> None:
    data = {"node": "n", "image": "i@1", "layout": "l", "phases": [{"name": "wipe", "steps": [step]}]}
    with pytest.raises(BadInput) as caught:
        from_plain(data, InstallPlan)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "JSON nested too deeply"),
        ('{"phase":"x","status":"done","uptime":NaN}', "uptime: expected a number, got nan"),
        ('{"phase":"x","status":"done","uptime":1e999}', "uptime: expected a number, got inf"),
        ('{"phase":"x","status":"done","uptime":1' + "0" * 400 + "}", "uptime: "),
        ('{"phase":"x","status":"done","uptime":1' + "0" * 5000 + "}", "not JSON"),
        ("null", "expected a mapping of keys, got None"),
    ],
)
def test_text_that_is_no_report(text: str | bytes, fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_json(text, Report)
    assert fault in str(caught.value)


def test_a_whole_number_is_a_number() -> None:
    assert from_json('{"phase":"x","status":"done","uptime":3}', Report) == Report("x", Status.DONE, 3.0)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Mac.parse("52-54-00-12-34-56"), "52:54:00:12:34:56"),
        (ImageRef.parse("compute@3"), "compute@3"),
        (AddressRange.parse("10.0.0.1 - 10.0.0.9"), "10.0.0.1-10.0.0.9"),
        (IPv4Address("10.0.0.1"), "10.0.0.1"),
        (PurePosixPath("/srv"), "/srv"),
        (Firmware.UEFI, "uefi"),
        (Smbios(vendor="x"), {"vendor": "x", "product": "", "serial": "", "uuid": "", "board": "", "bios_version": ""}),
    ],
)
def test_values_that_are_written_as_people_write_them(value: Any, plain: Any) -> None:
    assert to_plain(value) == plain
    assert from_plain(plain, type(value)) == value


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("512M", SizeSpec(Bytes(2**29), Bytes(2**29))),
        (4096, SizeSpec(Bytes(4096), Bytes(4096))),
        ({"min": "1G", "weight": 3}, SizeSpec(Bytes(2**30), weight=3)),
        ({"max": 5}, SizeSpec(max=Bytes(5))),
    ],
)
def test_sizes_are_numbers_or_text(plain: Any, expected: SizeSpec) -> None:
    assert from_plain(plain, SizeSpec) == expected


def test_the_order_of_keys_is_stable() -> None:
    assert to_json(Problem("b", hint="a")) == '{"hint": "a", "what": "b", "where": ""}'


def test_an_update_cannot_hold_a_disk_step() -> None:
    """By type, and by what the decoder takes from the wire."""
    fitting = UpdatePlan("n1", "a@1", "s", "/v1/manifest/a/1", "0" * 64, 1, 1, 8730, fixups=(
        Triggered(WriteFile("/etc/hostname", "n1\n")), Triggered(RunInTarget(("update-grub",)), ("/boot/vmlinuz-*",)),
    ))  # fmt: skip
    text = to_json(fitting)
    assert json.loads(text)["fixups"][0]["step"]["step"] == "WriteFile"
    assert from_json(text, UpdatePlan) == fitting
    for step in (WipeDisk(Disk("/dev/vda", 1)), Reboot(), KeepSecret("/x"), SyncTree("a@1", "/", 1, 1)):
        plain = json.loads(text)
        plain["fixups"][1]["step"] = to_plain(step)
        with pytest.raises(BadInput, match=rf"'{type(step).__name__}' is no step of an update"):
            from_json(json.dumps(plain), UpdatePlan)
