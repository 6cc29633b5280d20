"""A server with an image, three nodes and a group, for the tests of what administrators do."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath

import pytest

from imaged.admin.desk import Desk
from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.settings import DhcpSettings, Settings, Subnet
from tests.daemon.test_provisioning import fill


def mac(number: int) -> Mac:
    return Mac.parse(f"52:54:00:00:00:{number:02x}")


def desk_in(root: Path) -> Desk:
    """Of a server that has nothing yet."""
    subnet = Subnet(IPv4Network("10.0.0.0/24"))
    return Desk(Settings(IPv4Address("10.0.0.1"), PurePosixPath(root), dhcp=DhcpSettings(subnets=(subnet,))))


def fill_image(desk: Desk, name: str) -> None:
    """Two versions; the second is stable."""
    for _ in range(2):
        with desk.images.working(name) as working:
            fill(working.tree)
            desk.images.publish(desk.images.seal(working, origin="test"), "stable")


def make(root: Path) -> Desk:
    """``tiny`` has two versions; n1 to n3 are nodes, n1 and n2 are in ``rack``."""
    desk = desk_in(root)
    fill_image(desk, "tiny")
    desk.groups.add(Group("rack"))
    for number in (1, 2, 3):
        desk.nodes.add(Node(f"n{number}", (mac(number),), ImageRef.parse("tiny")))
    for name in ("n1", "n2"):
        desk.groups.put(name, ("rack",))
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make(tmp_path / "state")
