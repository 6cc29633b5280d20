"""What holds for a node, and where each thing was said."""

from ipaddress import IPv4Address, IPv4Network

from attrs import evolve

from imaged.model.boot import Chain
from imaged.model.group import Group
from imaged.model.host import CloudInit, Host, Identity
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import AddressRange, Mac
from imaged.model.network import BOOT_NIC
from imaged.model.node import Definition, Node
from imaged.model.power import PowerAccess, PowerAddress
from imaged.model.settings import DhcpSettings, Settings, Subnet
from imaged.model.setup import Setup
from imaged.planning.explained import Said, explained

MACS = (Mac.parse("52:54:00:00:00:01"), Mac.parse("52:54:00:00:00:02"))
POOL = AddressRange.parse("10.0.0.100-10.0.0.199")
DNS = (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3"))
FIRST = Subnet(IPv4Network("10.0.0.0/24"), POOL, dns=DNS, domain="a.example")
SECOND = Subnet(IPv4Network("10.1.0.0/24"), router=IPv4Address("10.1.0.254"), chain=Chain.GRUB)
SETTINGS = Settings(IPv4Address("10.0.0.1"), dhcp=DhcpSettings(subnets=(FIRST, SECOND)))
ALL = Group("all", 200, Setup(ImageRef("a"), variables={"site": "x", "row": "0"}))
GPU = Group("gpu", 10, Setup(ImageRef("b"), console="ttyS0", variables={"row": "7"}))
NODE = Node("n1", MACS, ImageRef("b"), "raid1", console="ttyS0", variables={"site": "x", "row": "7"},
            groups=("all", "gpu"))  # fmt: skip
SAID = Said(
    NODE, Definition("n1", MACS, Setup(layout="raid1"), groups=("all", "gpu")), (ALL, GPU), Host(), {}, None, {}
)


def told(said: Said, *what: str) -> list[tuple[str, str, str]]:
    return [(each.what, each.value, each.source) for each in explained(said, SETTINGS) if each.what in what]


def test_what_it_runs() -> None:
    assert told(SAID, "image", "layout", "console", "var.row", "var.site", "groups", "mac", "uuid") == [
        ("image", "b@stable", "group gpu"), ("layout", "raid1", "node"), ("console", "ttyS0", "group gpu"),
        ("var.row", "7", "group gpu"), ("var.site", "x", "group all"), ("groups", "all gpu", "node"),
        ("mac", str(MACS[0]), "node"), ("mac", str(MACS[1]), "node"),
    ]  # fmt: skip
    first = (ALL, evolve(GPU, setup=evolve(GPU.setup, first="local")))
    assert told(evolve(SAID, groups=first), "first-boot") == [("first-boot", "local", "group gpu")]
    assert told(SAID, "first-boot") == [("first-boot", "install", "default")]
    nobody = Node("n1", MACS, NO_IMAGE)
    bare = evolve(SAID, node=nobody, definition=Definition("n1", MACS), groups=())
    assert told(bare, "image", "layout", "console", "groups") == [
        ("image", "", "default"), ("layout", "one-disk", "default"), ("console", "", "default"), ("groups", "", "node")
    ]  # fmt: skip
    silent = evolve(
        SAID, definition=evolve(SAID.definition, setup=Setup(console="none")), node=evolve(NODE, console="")
    )
    assert told(silent, "console") == [("console", "", "node")]


def test_how_its_own_system_is_set_up() -> None:
    hosts = {"all": Host(timezone="UTC", keyboard="us", network=BOOT_NIC), "gpu": Host(timezone="Europe/Oslo")}
    own = Host(identity=Identity.NEW, cloud_init=CloudInit.SEED, keyboard="de")
    keys = ("network", "identity", "cloud-init", "timezone", "locale", "keyboard")
    assert told(evolve(SAID, own_host=own, hosts=hosts), *keys) == [
        ("network", ", ".join(link.name for link in BOOT_NIC.links), "group all"), ("identity", "new", "node"),
        ("cloud-init", "seed", "node"), ("timezone", "Europe/Oslo", "group gpu"),
        ("locale", "the image's", "default"), ("keyboard", "de", "node"),
    ]  # fmt: skip


def test_where_it_is() -> None:
    assert told(SAID, "address", "domain", "dns", "router", "chain") == [
        ("address", "one of the pool", "settings"), ("domain", "a.example", "settings"),
        ("dns", "10.0.0.2 10.0.0.3", "settings"), ("chain", "auto", "default"),
    ]  # fmt: skip
    leased = evolve(SAID, leased=IPv4Address("10.0.0.123"))
    assert told(leased, "address") == [("address", "10.0.0.123", "lease")]
    own = evolve(leased, node=evolve(NODE, address=IPv4Address("10.1.0.7")))
    assert told(own, "address", "domain", "dns", "router", "chain") == [
        ("address", "10.1.0.7", "node"), ("router", "10.1.0.254", "settings"), ("chain", "grub", "settings"),
    ]  # fmt: skip


def test_what_switches_its_power_and_no_password() -> None:
    own, theirs = (PowerAccess(PowerAddress.parse(f"ipmi://admin@{{name}}-{at}"), "tuna") for at in ("own", "all"))
    assert [each[2] for each in told(SAID, "power")] == ["default"]
    assert told(evolve(SAID, powers={"all": theirs}), "power") == [("power", "ipmi://admin@n1-all", "group all")]
    both = evolve(SAID, own_power=own, powers={"all": theirs, "other": theirs})
    assert told(both, "power") == [("power", "ipmi://admin@n1-own", "node")]
    assert "tuna" not in str(list(explained(both, SETTINGS)))
