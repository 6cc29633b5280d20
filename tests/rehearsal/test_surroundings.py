"""The pure parts of network, daemon, console and command line."""

from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner

from imaged.cli.rehearse import command, numbered
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, ImagedError
from imaged.model.settings import DhcpMode, HttpSettings, RsyncSettings, Settings
from imaged.rehearsal import namespace
from imaged.rehearsal.daemon import rehearsal_settings
from imaged.rehearsal.guest import Console, readable
from imaged.rehearsal.namespace import creation, listening, tap_creation
from imaged.store.settings import build

SITE = Settings(
    address=IPv4Address("192.0.2.1"), state=PurePosixPath("/srv/imaged"), interfaces=("eth7",),
    http=HttpSettings(port=9999), rsync=RsyncSettings(port=8730, transfers=3), authorized_keys=("ssh-ed25519 SITE",),
)  # fmt: skip


def test_settings_move_into_the_private_network_and_keep_the_rest() -> None:
    moved = rehearsal_settings(SITE, Path("/scratch"), authorized_keys=("ssh-ed25519 KEY",))
    assert (moved.address, moved.state, moved.interfaces) == (
        namespace.SERVER,
        PurePosixPath("/scratch"),
        (namespace.BRIDGE,),
    )
    assert moved.dhcp.mode is DhcpMode.AUTHORITATIVE
    assert (moved.http.port, moved.rsync.port, moved.tftp.port) == (8080, 873, 69)
    assert moved.rsync.transfers == 3
    assert moved.authorized_keys == ("ssh-ed25519 SITE", "ssh-ed25519 KEY")


def test_settings_are_what_the_daemon_would_accept() -> None:
    moved = rehearsal_settings(SITE, Path("/scratch"))
    plain = from_json(to_json(moved), dict)
    assert build(plain, where="test") == moved
    subnet = moved.dhcp.subnets[0]
    assert subnet.pool is not None
    reserved = [namespace.FIRST_NODE + number for number in range(64)]  # --count's limit
    assert not any(address in subnet.pool for address in (namespace.SERVER, *reserved))
    assert all(address in subnet.network for address in reserved)


def test_the_network_is_made_before_it_is_configured() -> None:
    commands = creation("imaged-rehearsal-x")
    assert commands[0] == ("ip", "netns", "add", "imaged-rehearsal-x")
    assert all(argv[:3] == ("ip", "-n", "imaged-rehearsal-x") for argv in commands[1:])
    assert ("ip", "-n", "x", "link", "set", "tap3", "master", namespace.BRIDGE) in tap_creation("x", "tap3")


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100630A:0369 0A00630A:C001 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
"""
UDP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  10: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3 2 0 0
"""


@pytest.mark.parametrize(
    ("table", "port", "udp", "expected"),
    [
        (TCP, 8080, False, True),
        (TCP, 873, False, False),  # a connection, not a listener
        (TCP, 80, False, False),
        (UDP, 67, True, True),
        (UDP, 69, True, False),
        ("", 67, True, False),
        ("header\n\n short\n", 67, True, False),
    ],
)
def test_listening(table: str, port: int, udp: bool, expected: bool) -> None:
    assert listening(table, port, udp=udp) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\r\ntwo\n", ("one", "two")),
        ("\x1b[2J\x1b[01;01Hfirmware\x1b[0m\n\n", ("firmware",)),
        ("10%\r20%\r30%\n", ("30%",)),
        ("\x00\x07bell\n", ("bell",)),
        ("", ()),
    ],
)
def test_readable(text: str, expected: tuple[str, ...]) -> None:
    assert readable(text) == expected


def test_console_notes_each_kernel_once_even_when_a_line_comes_in_pieces(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.follow(1.0)
    with console.path.open("ab", buffering=0) as log:
        log.write(b"iPXE\n[    0.000000] Linux ver")
        console.follow(2.0)
        assert console.kernels == ()
        log.write(b"sion 6.1.0-56-amd64 (debian)\r\n")
        console.follow(3.0)
        console.follow(4.0)
        log.write(b"Linux version of something\nLinux version 6.2\n")
        console.follow(5.0)
    assert console.kernels == (3.0, 5.0)
    assert console.tail(2) == ("Linux version of something", "Linux version 6.2")


@pytest.mark.parametrize(
    ("node", "count", "expected"),
    [
        ("node01", 1, ("node01",)),
        ("node09", 3, ("node09", "node10", "node11")),
        ("web", 2, ("web1", "web2")),
        ("web", 1, ("web",)),
        ("rack2-n007", 2, ("rack2-n007", "rack2-n008")),
        ("7", 2, ("7", "8")),
    ],
)
def test_numbered(node: str, count: int, expected: tuple[str, ...]) -> None:
    assert numbered(node, count) == expected


@pytest.mark.parametrize("node", ["", "Node", "a b", "-a", "a" * 64, "node/01", "../x"])
def test_bad_node_names(node: str) -> None:
    with pytest.raises(BadInput):
        numbered(node, 2)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--image", "x", "--disk", "floppy,1G"), "'floppy' is not one of"),
        (("--image", "x", "--memory", "1M"), "is not between 512M and 1024G"),
        (("--image", "x", "--memory", "lots"), "is not a size"),
        (("--image", "x", "--until", "lunch"), "'lunch' is no phase"),
        (("UPPER", "--image", "x"), "is not a node name"),
    ],
)
def test_bad_arguments_are_said_before_anything_is_made(arguments: tuple[str, ...], what: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ImagedError)
    assert what in str(result.exception)
