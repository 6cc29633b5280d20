"""A real rsync service with real grants: ``serve_overrides.py STATE NODE...`` renders all overrides.

It ends with its stdin. Each NODE has been installed half way with the secret ``secret-NODE``. Prints the port.
"""

import sys
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol

from imaged.daemon.provisioning import Provisioning
from imaged.daemon.rsync import RsyncService
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.settings import RsyncSettings
from imaged.model.talk import Claim
from imaged.store.paths import State
from tests.daemon.test_provisioning import MACHINE, fill, settings_in


class UntilClosed(Protocol):
    """The test holds our stdin open; when it dies, however it dies, we end too."""

    def connectionLost(self, reason):
        reactor.stop()


def main(root, *names):
    settings = evolve(settings_in(Path(root)), rsync=RsyncSettings(port=0))
    state = State(Path(settings.state))
    provisioning = Provisioning(settings, lambda: 1000.0)
    with provisioning.images.working("tiny") as working:
        fill(working.tree)
        provisioning.images.publish(provisioning.images.seal(working, origin="test"), "stable")
    for at, name in enumerate(names):
        mac = Mac.parse(f"52:54:00:00:00:{at:02x}")
        provisioning.nodes.add(Node(name, (mac,), ImageRef.parse("tiny")))
        script = provisioning.boot_script(mac, "")
        provisioning.claim(Claim(script.split("imaged.token=")[1].split()[0], f"secret-{name}"))
        provisioning.answer_plan(name, evolve(MACHINE, boot_mac=mac))
    service = RsyncService(settings, state.run, state.logs, reactor, provisioning.grant)
    service.start()
    stdio.StandardIO(UntilClosed())
    reactor.addSystemEventTrigger("before", "shutdown", service.stop)
    print(service.port, flush=True)  # noqa: T201
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
