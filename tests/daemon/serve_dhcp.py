"""Runs the DHCP service for the tests of real clients: ``serve_dhcp.py SETTINGS [NAME,MAC,ADDRESS,ACTION ...]``.

Everything it has to say is on stderr; the line ``ready`` comes when it listens.
"""

import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver

from imaged.daemon.dhcp import DhcpService
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node
from imaged.store import settings
from imaged.store.database import open_database
from imaged.store.directory import Directory
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes
from imaged.store.paths import State

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
configured = settings.read(Path(sys.argv[1]))
state = State(Path(configured.state))
state.root.mkdir(parents=True, exist_ok=True)
engine = open_database(state.database)
nodes = Nodes(engine)
known = {node.name for node in nodes.all()}
for text in sys.argv[2:]:
    name, mac, address, action = text.split(",")
    if name not in known:
        nodes.add(
            Node(
                name,
                (Mac.parse(mac),),
                ImageRef("compute"),
                address=IPv4Address(address) if address else None,
                action=BootAction(action or "install"),
            )
        )
service = DhcpService(configured, reactor, Directory(engine), LeaseStore(engine), time.time)
service.start()
reactor.addSystemEventTrigger("before", "shutdown", service.stop)
reactor.callWhenRunning(sys.stderr.write, "ready\n")
reactor.run()
