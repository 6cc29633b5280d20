"""Runs the rsync service for the tests of real clients: ``serve_rsync.py DIRECTORY TRANSFERS``; ends with its stdin.

DIRECTORY holds ``tree`` (the module ``image``), ``run`` and ``logs``, and maybe ``overrides``. Nodes n0 to n99 have the
secret ``s``; a file
``revoked`` takes it from them. Prints the port, then one line per event.
"""

import sys
from ipaddress import IPv4Address
from pathlib import Path

from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol
from twisted.logger import globalLogPublisher, textFileLogObserver

from imaged.daemon.rsync import RsyncService
from imaged.model.settings import RsyncSettings, Settings
from imaged.model.transfer import Grant, Module


class UntilClosed(Protocol):
    """The test holds our stdin open; when it dies, however it dies, we end too."""

    def connectionLost(self, reason):
        reactor.stop()


def say(*words):
    print(*words, flush=True)  # noqa: T201


def main(directory, transfers):
    globalLogPublisher.addObserver(textFileLogObserver(sys.stderr))
    base = Path(directory)

    def grant(node, secret):
        known = node.startswith("n") and secret == "s" and not (base / "revoked").exists()
        modules = [Module("image", base / "tree"), Module("overrides", base / "overrides")]
        return Grant(node, tuple(each for each in modules if each.path.is_dir())) if known else None

    settings = Settings(address=IPv4Address("127.0.0.1"), rsync=RsyncSettings(port=0, transfers=int(transfers)))
    service = RsyncService(
        settings, base / "run", base / "logs", reactor, grant,
        on_queue=lambda node, position: say("queue", node, position, len(service.transferring)),
        on_end=lambda node, code: say("end", node, code),
    )  # fmt: skip
    service.start()
    stdio.StandardIO(UntilClosed())
    reactor.addSystemEventTrigger("before", "shutdown", service.stop)
    say(service.port)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
