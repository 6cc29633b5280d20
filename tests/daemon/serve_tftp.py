"""Runs the TFTP service for real clients: ``serve_tftp.py ROOT [INTERFACE]`` prints the port, ends with its stdin."""

import sys
from ipaddress import IPv4Address
from pathlib import Path

from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol
from twisted.logger import globalLogPublisher, textFileLogObserver

from imaged.daemon.tftp import TftpService
from imaged.model.settings import Settings, TftpSettings


class UntilClosed(Protocol):
    """The test holds our stdin open; when it dies, however it dies, we end too."""

    def connectionLost(self, reason):
        reactor.stop()


def generated(name, client):
    return f"made for {client}\n".encode() if name == "generated/hello" else None


def main(root, *interfaces):
    globalLogPublisher.addObserver(textFileLogObserver(sys.stderr))
    settings = Settings(
        address=IPv4Address("127.0.0.1"), interfaces=interfaces, tftp=TftpSettings(port=0, max_block=8192, processes=1)
    )
    service = TftpService(settings, Path(root), reactor, generated)
    service.start()
    stdio.StandardIO(UntilClosed())
    print(service.port, flush=True)  # noqa: T201
    reactor.run()
    service.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
