"""Fetches from our own daemon what nodes fetch first, by the address and the protocols that they use."""

import socket
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from imaged.model.errors import MalformedPacket
from imaged.model.settings import Settings
from imaged.planning.doctor.service import Fetched
from imaged.store.paths import boot_loaders
from imaged.wire import tftp

_TIMEOUT = 3.0  # seconds for one answer
_TRIES = 3
_BLOCK = 512
_EPHEMERAL = 40000  # such a port of ours hears the answer, which comes from a new port of the server (RFC 1350)


def fetch(settings: Settings, boot: Path, is_shut: Callable[[str, int], bool]) -> tuple[list[Fetched], list[str]]:
    """One boot loader by TFTP, its size by HTTP, and a connection to rsync's port; and what could not be tried.

    ``is_shut`` says whether a packet to that protocol and port is dropped on the loopback, by which all of it goes.
    """
    found, shut = [], []
    loader = next(iter(boot_loaders(boot)), None)
    host, http, rsync = str(settings.address), settings.http.port, settings.rsync.port
    if loader and (is_shut("udp", settings.tftp.port) or is_shut("udp", _EPHEMERAL)):
        shut.append(f"tftp://{host}:{settings.tftp.port}")
    elif loader:
        found.append(_tftp(host, settings.tftp.port, loader, (boot / loader).read_bytes()))
    if is_shut("tcp", http):
        shut.append(f"http://{host}:{http}")
    else:
        path = f"/boot/{loader}" if loader else "/boot/"
        found.append(_http(host, http, path, (boot / loader).stat().st_size if loader else None))
    if is_shut("tcp", rsync):
        shut.append(f"rsync://{host}:{rsync}")
    else:
        found.append(_tcp(host, rsync))
    return found, shut


def _tftp(host: str, port: int, name: str, wanted: bytes) -> Fetched:
    what = f"tftp://{host}:{port}/{name}"
    try:
        got = _read(host, port, name)
    except TimeoutError:
        return Fetched(what, error="no answer")
    except MalformedPacket as fault:
        return Fetched(what, error=f"answers with {fault}")
    except OSError as error:
        return Fetched(what, error=error.strerror or str(error))
    if got != wanted:
        return Fetched(what, error=f"gives {len(got)} bytes that are not those of the file ({len(wanted)} bytes)")
    return Fetched(what, len(got))


def _read(host: str, port: int, name: str) -> bytes:
    """The whole file, in blocks of 512 bytes. Raises OSError, and MalformedPacket for what is no answer to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_TIMEOUT)
        last, peer = tftp.encode(tftp.ReadRequest(name, "octet")), (host, port)
        blocks: list[bytes] = []
        tries = 0
        while True:
            client.sendto(last, peer)
            try:
                payload, sender = client.recvfrom(_BLOCK + 4)
            except TimeoutError:
                tries += 1
                if tries == _TRIES:
                    raise
                continue
            packet = tftp.decode(payload)
            if isinstance(packet, tftp.Error):
                raise MalformedPacket(f"error {packet.code}, {packet.text[:80]!r}")
            if not isinstance(packet, tftp.Data) or packet.block != (len(blocks) + 1) % 0x10000:
                continue
            blocks.append(packet.payload)
            last, peer, tries = tftp.encode(tftp.Ack(packet.block)), sender, 0
            if len(packet.payload) < _BLOCK:
                client.sendto(last, peer)
                return b"".join(blocks)


def _http(host: str, port: int, path: str, size: int | None) -> Fetched:
    """``size`` None: whatever the answer is, it must be one."""
    what = f"http://{host}:{port}{path}"
    connection = HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("HEAD", path)
        answer = connection.getresponse()
    except TimeoutError:
        return Fetched(what, error="no answer")
    except (OSError, HTTPException) as error:
        return Fetched(what, error=getattr(error, "strerror", None) or str(error) or type(error).__name__)
    finally:
        connection.close()
    if size is None:
        return Fetched(what)
    if answer.status != 200 or answer.getheader("Content-Length") != str(size):
        return Fetched(
            what, error=f"answers {answer.status}, with {answer.getheader('Content-Length')} bytes of {size}"
        )
    return Fetched(what, size)


def _tcp(host: str, port: int) -> Fetched:
    what = f"rsync://{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT) as connection, suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        return Fetched(what, error=error.strerror or "no answer")
    return Fetched(what)
