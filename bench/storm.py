"""A hall that is switched on at once: every machine from its first DISCOVER to the script that its iPXE runs.

    python bench/storm.py [--machines 10000] [--spread 10] [--loader 64] [--short]

Root. Every second machine is a node with an address of its own, the others are unknown. Each is a UEFI machine: from
DISCOVER to ACK of its firmware, its loader by TFTP (LOADER KiB; blksize 1468, windowsize 4, as OVMF asks), from
DISCOVER to ACK of iPXE, and the boot script by HTTP. They begin within SPREAD seconds, ask again when EDK2 does, and
give up when it does: 4, 8, 16 and 32 seconds for DHCP, six times four seconds for a block. All of them are one process
at the other end of a veth pair. The server's limit of TFTP sessions is raised as docs/performance.md says.
Exit code 1 when a machine was left behind, or the daemon's memory went above 300 MB. Takes two to four minutes.
"""

import argparse
import asyncio
import json
import random
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

from link import CLIENT, SERVER, link, says, serving
from pairs import Row, publish

from imaged.model.boot import LOADERS, Arch
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition
from imaged.model.setup import Setup
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.wire import dhcp as wire
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp_options import MessageType

TITLE = "Boot storm"
WINDOW = 4
SESSIONS = 8000  # two descriptors each
MEMORY = 300e6 / 2**20  # MiB
DHCP_TRIES, TFTP_TRIES, TFTP_WAIT, HTTP_WAIT = (4.0, 8.0, 16.0, 32.0), 6, 4.0, 30.0  # seconds
UEFI = (
    opt.VENDOR_CLASS.of("PXEClient:Arch:00007:UNDI:003016"),
    opt.CLIENT_ARCH.of((7,)),
    opt.PARAMETERS.of(bytes((1, 2, 3, 4, 5, 6, 12, 13, 15, 54, 58, 59, 60, 66, 67, 97))),
    opt.MAX_SIZE.of(1472),
)
IPXE = (*UEFI, (opt.USER_CLASS.code, b"iPXE"), opt.ETHERBOOT.of({8: b"\x01"}))
NETWORKS = ("10.99.16.0/20", "10.99.32.0/19", "10.99.64.0/20", "10.99.128.0/17")  # of the pool, and of the nodes
PLACE = b"\x52\x54\0"


class LeftBehind(Exception):
    """The machine gave up."""


def mac(number: int) -> Mac:
    """Of a machine."""
    return Mac.from_bytes(PLACE + number.to_bytes(3, "big"))


# --- the machines' end


class Dhcp(asyncio.DatagramProtocol):
    """Port 68 of all machines: answers are broadcast, and each knows its own by the number of its question."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[wire.Packet]] = {}
        self.sent = self.again = 0
        self._questions = count(1)
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, _source: object) -> None:
        future = self.waiting.get(int.from_bytes(data[4:8], "big"))
        if future is not None and not future.done():
            future.set_result(wire.decode(data))

    async def exchange(self, number: int, uuid: bytes, extra: Sequence[tuple[int, bytes]]) -> wire.Packet:
        """DISCOVER, OFFER, REQUEST, ACK."""
        offer = await self._ask(number, uuid, MessageType.DISCOVER, extra)
        server = offer.get(opt.SERVER_ID)
        chosen = opt.SERVER_ID.of(server or IPv4Address(0)), opt.REQUESTED_ADDRESS.of(offer.yiaddr)
        return await self._ask(number, uuid, MessageType.REQUEST, (*chosen, *extra))

    async def _ask(
        self, number: int, uuid: bytes, kind: MessageType, extra: Sequence[tuple[int, bytes]]
    ) -> wire.Packet:
        xid = next(self._questions)
        options = (opt.MESSAGE_TYPE.of(kind), *extra, (opt.CLIENT_UUID.code, b"\0" + uuid))
        packet = wire.Packet(wire.Op.REQUEST, xid, mac(number).packed, dict(options), flags=wire.BROADCAST_FLAG)
        data, wanted = wire.encode(packet), {MessageType.DISCOVER: MessageType.OFFER}.get(kind, MessageType.ACK)
        for patience in DHCP_TRIES:
            self.waiting[xid] = asyncio.get_running_loop().create_future()
            self._transport.sendto(data, ("255.255.255.255", 67))
            self.sent += 1
            try:
                answer = await asyncio.wait_for(self.waiting[xid], patience)
            except TimeoutError:
                self.again += 1
                continue
            finally:
                del self.waiting[xid]
            if answer.get(opt.MESSAGE_TYPE) is wanted:
                return answer
            raise LeftBehind(f"{kind.name} is answered by {answer.get(opt.MESSAGE_TYPE)}")
        raise LeftBehind(f"no answer to {kind.name}")


class Fetch(asyncio.DatagramProtocol):
    """One file by TFTP, block after block."""

    def __init__(self, name: str) -> None:
        words = (name, "octet", "blksize", "1468", "windowsize", str(WINDOW), "tsize", "0")
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._last = (b"\0\1" + b"".join(word.encode() + b"\0" for word in words), (SERVER, 69))
        self._tries, self._block, self._size = TFTP_TRIES, 0, 0
        self._window, self._open = 1, 0  # blocks; of the window that were received
        self._transport: Any = None
        self._timer: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        kind, block = struct.unpack_from("!HH", data)
        if kind == 5:
            self._end(LeftBehind(f"TFTP: {data[4:-1].decode()}"))
        elif kind == 6:
            self._window = WINDOW if b"windowsize" in data.lower() else 1
            self._answer(0, source)
        elif kind == 3 and block == (self._block + 1) & 0xFFFF:
            self._block, self._size, self._open = block, self._size + len(data) - 4, self._open + 1
            last = len(data) - 4 < 1468
            if last or self._open == self._window:
                self._answer(block, source)
            if last:
                self._end(None)
        elif kind == 3 and self._open:
            self._answer(self._block, source)  # one is missing (RFC 7440, section 4)

    def _answer(self, block: int, source: tuple[str, int]) -> None:
        self._open = 0
        self._last, self._tries = (struct.pack("!HH", 4, block), source), TFTP_TRIES
        self._send()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._tries == 0:
            self._end(LeftBehind(f"TFTP: nothing after block {self._block}"))
            return
        self._tries -= 1
        self._transport.sendto(*self._last)
        self._timer = asyncio.get_running_loop().call_later(TFTP_WAIT, self._send)

    def _end(self, fault: Exception | None) -> None:
        self._timer.cancel()
        if not self.done.done():
            if fault:
                self.done.set_exception(fault)
            else:
                self.done.set_result(self._size)


async def script(url: str, own: str) -> None:
    """What iPXE runs; three tries."""
    path = "/" + url.split("/", 3)[3]
    port = int(url.split("/")[2].partition(":")[2])
    for _ in range(3):
        try:
            async with asyncio.timeout(HTTP_WAIT):
                reader, writer = await asyncio.open_connection(SERVER, port, local_addr=(own, 0))
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
        except (OSError, TimeoutError):
            continue
        if answer.startswith(b"HTTP/1.1 200") and b"#!ipxe" in answer:
            return
        raise LeftBehind(f"HTTP: {answer[:40]!r}")
    raise LeftBehind("no answer by HTTP")


async def boot(number: int, dhcp: Dhcp, size: int) -> None:
    """One machine. Raises LeftBehind."""
    uuid = number.to_bytes(16, "big")
    answer = await dhcp.exchange(number, uuid, UEFI)
    loop = asyncio.get_running_loop()
    transport, fetch = await loop.create_datagram_endpoint(
        lambda: Fetch(answer.file.decode()), local_addr=(str(answer.yiaddr), 0), family=socket.AF_INET
    )
    try:
        got = await fetch.done
    finally:
        transport.close()
    if got != size:
        raise LeftBehind(f"a loader of {got} bytes")
    answer = await dhcp.exchange(number, uuid, IPXE)
    await script(answer.file.decode(), str(answer.yiaddr))


async def everybody(options: argparse.Namespace) -> dict[str, Any]:
    """All machines; what became of them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
    device = next(name for _, name in socket.if_nameindex() if name != "lo")  # there is no route to everybody
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    opened.bind(("", 68))
    _, dhcp = await asyncio.get_running_loop().create_datagram_endpoint(Dhcp, sock=opened)
    took: list[float] = []
    left: list[str] = []
    begun = time.monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(random.uniform(0, options.spread))
        on = time.monotonic()
        try:
            await boot(number, dhcp, options.loader << 10)
            took.append(time.monotonic() - on)
        except LeftBehind as why:
            left.append(str(why))

    await asyncio.gather(*(one(number) for number in range(options.machines)))
    slowest = max(took, default=0.0)
    middle = sorted(took)[len(took) // 2] if took else 0.0
    return {
        "served": len(took), "left": len(left), "why": sorted(set(left))[:5], "seconds": time.monotonic() - begun,
        "median": middle, "slowest": slowest, "asked again": dhcp.again,
    }  # fmt: skip


# --- the server's end


def site(home: Path, machines: int, loader: int) -> Path:
    """Settings of a site in which every second machine is a node."""
    (home / "state").mkdir()
    engine = open_database(home / "state/imaged.sqlite")
    setup, first = Setup(ImageRef("compute")), int(IPv4Address("10.99.128.0"))
    defined = (
        Definition(f"node{number:05}", (mac(number),), setup, address=IPv4Address(first + number))
        for number in range(0, machines, 2)
    )
    Nodes(engine).define(defined, BootAction.LOCAL)
    engine.dispose()
    file = home / "state/boot" / LOADERS[Arch.X86_64]
    file.parent.mkdir(parents=True)
    file.write_bytes(random.randbytes(loader << 10))
    settings = home / "imaged.yaml"
    settings.write_text(
        f"address: {SERVER}\nstate: {home}/state\napi: {{socket: {home}/api}}\ntftp: {{sessions: {SESSIONS}}}\n"
        "dhcp:\n  mode: authoritative\n"
        "  subnets: [{network: 10.99.0.0/16, pool: 10.99.16.0-10.99.79.255}]\n"
    )
    return settings


def main() -> int:
    """A storm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=10_000)
    parser.add_argument("--spread", type=float, default=10.0, help="seconds in which they are switched on")
    parser.add_argument("--loader", type=int, default=64, help="KiB")
    parser.add_argument("--short", action="store_true", help="a first look: 500 machines, nothing is kept")
    parser.add_argument("--storm", action="store_true", help=argparse.SUPPRESS)  # the machines' end
    options = parser.parse_args()
    if options.short:
        options.machines, options.spread = min(500, options.machines), min(2.0, options.spread)
    if options.storm:
        print(json.dumps(asyncio.run(everybody(options))))
        return 0
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch, link() as wires:
        settings = site(Path(scratch), options.machines, options.loader)
        for network in NETWORKS:
            # Each machine has its address there; here one neighbour stands for them all: the kernel knows 1,024.
            subprocess.run([*wires.client, "ip", "route", "add", "local", network, "dev", "lo"], check=True)
            subprocess.run([*wires.server, "ip", "route", "add", network, "via", CLIENT], check=True)
        argv = [*wires.server, sys.executable, "-m", "imaged", "--settings", str(settings), "serve"]
        with serving(argv, says(b" ready: ")) as server:
            before = server.cpu()
            numbers = ["--machines", options.machines, "--spread", options.spread, "--loader", options.loader]
            client = [*wires.client, sys.executable, __file__, "--storm", *map(str, numbers)]
            told = json.loads(subprocess.run(client, stdout=subprocess.PIPE, text=True, check=True).stdout)
            cpu, memory = server.cpu() - before, server.peak()
    told["peak MiB"], told["processor seconds"] = memory, cpu
    print(json.dumps(told, indent=2))
    rows = [
        Row("machines that got their script", "all", (told["served"],), (options.machines,), least=1.0),
        Row("the daemon's peak of memory, MiB", "the limit", (memory,), (MEMORY,), most=1.0),
    ]
    if options.short:
        print(*rows, sep="\n")
        return int(not all(each.kept for each in rows))
    notes = (
        f"{told['seconds']:.0f} s for all, {told['median']:.1f} s for half, {told['slowest']:.1f} s for the slowest;"
        f" {cpu:.0f} s of the daemon's processor; {told['asked again']} DHCP packets were sent again."
        " Processes that carry TFTP are not in it."
    )
    return int(not publish(TITLE, f"python bench/storm.py --machines {options.machines}", rows, [], notes))


if __name__ == "__main__":
    raise SystemExit(main())
