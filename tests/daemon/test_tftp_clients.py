"""Real TFTP clients against the service in a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from imaged.wire.tftp import Ack, Data, Error, ErrorCode, ReadRequest, decode, encode

RUNNER = Path(__file__).with_name("serve_tftp.py")
CHECKOUT = RUNNER.parents[2]
SIZES = [1, 511, 512, 513, 1468 * 16, 3_000_001]


@contextmanager
def serving(root, killed=False):
    """Port and process of a daemon that serves ``root``; it ends with our end of its stdin, whatever becomes of us."""
    server = subprocess.Popen(
        (sys.executable, str(RUNNER), str(root)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    with server:
        try:
            yield int(server.stdout.readline()), server.pid
            assert killed or server.poll() is None
        finally:
            server.stdin.close()
            server.wait(10)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tftp") / "root"
    (root / "boot").mkdir(parents=True)
    for size in SIZES:
        (root / f"boot/{size}").write_bytes(os.urandom(size))
    (root / "boot/0").touch()
    (root / "boot/wraps").write_bytes(os.urandom(1 << 20))
    (root.parent / "secret").write_text("secret")
    (root / "boot/out").symlink_to("../../secret")
    return root


@pytest.fixture(scope="module")
def port(root):
    with serving(root) as (port, _):
        yield port


def tftp_hpa(port, name, to):
    return ("tftp", "-m", "binary", "127.0.0.1", str(port), "-c", "get", name, str(to))


def atftp(port, name, to, *options):
    chosen = [word for option in options for word in ("--option", option)]
    return ("atftp", *chosen, "--get", "-r", name, "-l", str(to), "127.0.0.1", str(port))


def atftp_window(port, name, to):
    return atftp(port, name, to, "blksize 1468", "windowsize 16")


def atftp_all(port, name, to):
    return atftp(port, name, to, "blksize 8192", "windowsize 64", "tsize", "timeout 3")


def curl(port, name, to):
    return ("curl", "-s", "--tftp-blksize", "1468", "-o", str(to), f"tftp://127.0.0.1:{port}/{name}")


def busybox(port, name, to):
    return ("busybox", "tftp", "-b", "1400", "-g", "-r", name, "-l", str(to), "127.0.0.1", str(port))


CLIENTS = [tftp_hpa, atftp, atftp_window, atftp_all, curl, busybox]


def run(argv, cwd):
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", SIZES)
def test_fetch(client, size, root, port, tmp_path):
    done = run(client(port, f"boot/{size}", tmp_path / "got"), tmp_path)
    assert done.returncode == 0, done
    assert (tmp_path / "got").read_bytes() == (root / f"boot/{size}").read_bytes()


@pytest.mark.parametrize("client", [tftp_hpa, atftp, atftp_window, busybox])  # curl takes a tsize of 0 for an error
def test_an_empty_file(client, port, tmp_path):
    done = run(client(port, "boot/0", tmp_path / "got"), tmp_path)
    assert done.returncode == 0, done
    assert (tmp_path / "got").read_bytes() == b""


@pytest.mark.parametrize("window", ["1", "64"])
def test_block_numbers_roll_over(window, root, port, tmp_path):
    done = run(atftp(port, "boot/wraps", tmp_path / "got", "blksize 8", f"windowsize {window}"), tmp_path)
    assert done.returncode == 0, done
    assert (tmp_path / "got").read_bytes() == (root / "boot/wraps").read_bytes()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_generated_file(client, port, tmp_path):
    assert run(client(port, "/generated/hello", tmp_path / "got"), tmp_path).returncode == 0
    assert (tmp_path / "got").read_text() == "made for 127.0.0.1\n"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["missing", "../secret", "boot/out", "/etc/passwd", "boot"])
def test_what_is_not_there(client, name, port, tmp_path):
    done = run(client(port, name, tmp_path / "got"), tmp_path)
    assert "not found" in (done.stdout + done.stderr).lower() or done.returncode
    assert not (tmp_path / "got").exists() or (tmp_path / "got").read_bytes() == b""


def test_uploads_are_refused(root, port, tmp_path):
    (tmp_path / "up").write_text("evil")
    done = run(("tftp", "-m", "binary", "127.0.0.1", str(port), "-c", "put", "up", "boot/up"), tmp_path)
    assert "Read only server" in done.stdout + done.stderr
    assert not (root / "boot/up").exists()


def test_netascii_is_refused(port, tmp_path):
    done = run(("tftp", "-m", "ascii", "127.0.0.1", str(port), "-c", "get", "boot/513"), tmp_path)
    assert "octet" in done.stdout + done.stderr


def test_a_word_of_failed_negotiation(port, tmp_path):
    done = run(atftp(port, "boot/513", tmp_path / "got", "timeout 256"), tmp_path)
    assert "Failure to negotiate RFC2347 options" in done.stdout + done.stderr


def ferries(server):
    """Processes that carry its transfers."""
    return [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]


def until(happened):
    """Ask for ten seconds; what came of it."""
    for _ in range(1000):
        if found := happened():
            return found
        subprocess.run(("sleep", "0.01"), check=True)
    raise AssertionError("it did not happen")


def fetched(port, cwd, root):
    done = run(atftp_window(port, "boot/513", cwd / "got"), cwd)
    return done.returncode == 0 and (cwd / "got").read_bytes() == (root / "boot/513").read_bytes()


def test_a_ferry_that_dies_is_replaced_and_the_service_goes_on(root, tmp_path):
    with serving(root) as (port, server):
        (ferry,) = until(lambda: ferries(server))
        assert fetched(port, tmp_path, root)
        os.kill(ferry, signal.SIGKILL)
        assert until(lambda: [pid for pid in ferries(server) if pid != ferry])
        assert fetched(port, tmp_path, root)


def test_a_daemon_that_is_killed_leaves_no_process(root):
    with serving(root, killed=True) as (_, server):
        (ferry,) = until(lambda: ferries(server))
        os.kill(server, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{ferry}/stat").exists() or ") Z " in Path(f"/proc/{ferry}/stat").read_text())


def test_many_at_once(root, port, tmp_path):
    if not shutil.which("atftp"):
        pytest.skip("atftp is not installed")
    clients = [
        subprocess.Popen(
            atftp_window(port, "boot/3000001", tmp_path / f"got{number}"), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(30)
    ]  # fmt: skip
    assert [client.wait(60) for client in clients] == [0] * 30
    expected = (root / "boot/3000001").read_bytes()
    assert all((tmp_path / f"got{number}").read_bytes() == expected for number in range(30))


def udp(address="127.0.0.1"):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(10)
    return made


def test_the_answer_comes_from_the_address_asked(port):
    """127.0.0.9 is as local as 127.0.0.1, and not what the kernel would choose by itself."""
    for name, kind in (("boot/513", Data), ("missing", Error)):
        with udp() as client:
            client.sendto(encode(ReadRequest(name, "octet")), ("127.0.0.9", port))
            payload, source = client.recvfrom(2048)
            assert (type(decode(payload)), source[0]) == (kind, "127.0.0.9")


def test_a_stranger_gets_an_error_and_the_transfer_goes_on(port):
    with udp() as client, udp() as stranger:
        client.sendto(encode(ReadRequest("boot/513", "octet")), ("127.0.0.1", port))
        first, session = client.recvfrom(2048)
        stranger.sendto(encode(Ack(1)), session)
        assert decode(stranger.recvfrom(2048)[0]).code == ErrorCode.UNKNOWN_TRANSFER
        client.sendto(encode(Ack(1)), session)
        packets = {decode(first).block, decode(client.recvfrom(2048)[0]).block}
        assert packets == {1, 2}


def test_a_broadcast_is_not_answered(port, tmp_path):
    with udp("0.0.0.0") as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.sendto(encode(ReadRequest("missing", "octet")), ("127.255.255.255", port))
        client.sendto(encode(ReadRequest("boot/1", "octet")), ("127.0.0.1", port))
        assert isinstance(decode(client.recvfrom(2048)[0]), Data)  # the broadcast came first and would be an Error
