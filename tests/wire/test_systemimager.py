"""Messages of SystemImager's clients, as their scripts write them, and whatever else may come to the port."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import MalformedPacket
from imaged.model.net import Mac
from imaged.wire.systemimager import LONGEST, Hello, Said, Update, decode

MAC = Mac.parse("52:54:00:aa:bb:cc")
KERNEL = "3.10.0-957.el7.x86_64"
CPU = "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz (2594.000 MHz)"

# As send_monitor_msg of 4.x and update_client_status of 5.x echo them.
V4 = (
    f"mac=52.54.00.AA.BB.CC:ip=10.0.0.7:host=node7:cpu={CPU}:ncpus=28:kernel={KERNEL}:mem=131900000:os=compute"
    ":tmpfs=12%:time=93:"
)
V5 = (
    '{"name" : "52:54:00:AA:BB:CC" , "cpu" : "' + CPU + '" , "host" : "node7" , "ip" : "10.0.0.7" , "kernel" : "'
    + KERNEL + '" , "mem" : "131900000" , "ncpus" : "28" , "os" : "compute" , "speed" : "%s" , "status" : "%s" ,'
    ' "time" : "93" }'
)  # fmt: skip


def update(status, speed):
    return Update(MAC, "node7", "10.0.0.7", "compute", KERNEL, CPU, status, speed)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (V4 + "status=37.12:speed=11264.50", update(37.12, 11264.5 * 1024)),
        (V4 + "status=.50:speed=0", update(0.5, 0.0)),
        (V4 + "status=-1:speed=0", update(-1.0, 0.0)),
        (V4 + "status=0:first_timestamp=on:speed=0", update(0.0, 0.0)),
        (V4 + "status=102:speed=0\r", update(102.0, 0.0)),
        (V4 + "status=:speed=-5", update(None, 0.0)),
        ("mac=52.54.00.AA.BB.CC:ip=:host=:cpu=Intel: fast", Update(MAC, cpu="Intel")),
        ("UPD:" + V5 % ("11264.50", "37.12"), update(37.12, 11264.5 * 1024)),
        ("UPD:" + V5 % ("0", ""), update(None, 0.0)),
        ('UPD:{"status": 101, "speed": true}', Update(status=101.0)),
        ("mac=", Update()),
        ("MAC:52:54:00:AA:BB:CC;42", Hello(MAC)),
        ("MAC:52:54:00:AA:BB:CC", Hello(MAC)),
        ('LOG:{ "TAG" : "systemimager" , "PRIORITY" : "local0.err" , "MESSAGE" : "no disk: &lt;sda&gt;" }',
         Said("local0.err", "no disk: &lt;sda&gt;")),
        ('LOG:{"MESSAGE": "\x1b[31mred\\nx", "PRIORITY": null}', Said("", "[31mred x")),
    ],
)  # fmt: skip
def test_what_clients_say(line, expected):
    assert decode(line.encode()) == expected


@pytest.mark.parametrize(
    "line",
    [
        "", "GET / HTTP/1.1", "mac=x:status=1", "mac=01.00.5e.00.00.01:status=1", "MAC:;1", "MAC:x", "UPD:", "UPD:[1]",
        'UPD:{"name": "x"}', "LOG:{", "LOG:" + "[" * 10_000, "upd:{}", "status=1:mac=52.54.00.AA.BB.CC",
        "x" * (LONGEST + 1),
    ],
)  # fmt: skip
def test_what_is_no_message(line):
    with pytest.raises(MalformedPacket):
        decode(line.encode())


@pytest.mark.parametrize(
    ("priority", "trouble"),
    [("local0.err", True), ("local0.emerg", True), ("local0.warning", False), ("local0.info", False), ("", False)],
)
def test_which_lines_are_trouble(priority, trouble):
    assert Said(priority, "x").is_trouble is trouble


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda each: st.lists(each), max_leaves=5)
KEYS = st.sampled_from(["name", "host", "status", "speed", "os", "PRIORITY", "MESSAGE", "cpu"])


@given(
    st.binary(max_size=300)
    | st.builds(lambda kind, rest: kind + rest, st.sampled_from([b"MAC:", b"UPD:", b"LOG:", b"mac="]), st.binary())
    | st.builds(
        lambda kind, said: kind + json.dumps(said).encode(),
        st.sampled_from([b"UPD:", b"LOG:"]),
        st.dictionaries(KEYS, JSON),
    )
)
def test_any_bytes_are_a_message_or_malformed(line):
    try:
        said = decode(line)
    except MalformedPacket:
        return
    texts = [value for name in said.__slots__ if isinstance(value := getattr(said, name, None), str)]
    assert all(text.isprintable() and len(text) <= 200 for text in texts)
    if isinstance(said, Update):
        assert said.speed is None or said.speed >= 0
