"""What the doctor says of what the server keeps and of its own system, as tables."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve

from imaged.model.lease import Lease, LeaseState
from imaged.model.machine import Discovery
from imaged.model.names import ImageRef
from imaged.model.net import AddressRange, Mac
from imaged.model.node import Node
from imaged.model.places import Condition, Places, Rule
from imaged.model.settings import DhcpMode, DhcpSettings, Settings, Subnet, TftpSettings
from imaged.model.size import GIB, MIB
from imaged.planning.doctor import database, images, leases, nodes, ramdisk, rights, space, system
from imaged.planning.doctor.database import Database
from imaged.planning.doctor.finding import MakeDirectory, MakeRamdisk, RemoveOrphans, RemoveTree, SetMode
from imaged.planning.doctor.images import Image, Leftover
from imaged.planning.doctor.ramdisk import Boot, Built
from imaged.planning.doctor.rights import Care, Entry
from imaged.planning.doctor.space import Volume
from imaged.planning.doctor.system import Clock, Limits
from tests.planning.doctor.said import said

POOL = AddressRange.parse("10.0.0.100-10.0.0.109")
SUBNET = Subnet(IPv4Network("10.0.0.0/24"), pool=POOL, router=IPv4Address("10.0.0.254"))
SETTINGS = Settings(IPv4Address("10.0.0.1"), dhcp=DhcpSettings(DhcpMode.AUTHORITATIVE, (SUBNET,)))
MAC = Mac.parse("52:54:00:00:00:01")


@pytest.mark.parametrize(
    ("entry", "expected", "mend"),
    [
        (Entry("/s/db", Care.SECRET, 0o600), "ok 1 files", None),
        (Entry("/s/db", Care.SECRET, 0o640), "error /s/db: holds secrets, and others get at it (mode 0640)",
         SetMode("/s/db", 0o600)),
        (Entry("/s/vault", Care.SECRET, 0o755, directory=True), "error /s/vault: holds secrets",
         SetMode("/s/vault", 0o700)),
        (Entry("/s", Care.OWN, 0o755, directory=True), "ok", None),
        (Entry("/s", Care.OWN, 0o2775, directory=True), "ok", None),
        (Entry("/e", Care.CLOSED, 0o640), "ok", None),
        (Entry("/e", Care.CLOSED, 0o646), "error /e: holds secrets", SetMode("/e", 0o640)),
        (Entry("/s", Care.OWN, 0o1777, directory=True), "error /s: others may write to it (mode 1777) (chmod 1775)",
         SetMode("/s", 0o1775)),
        (Entry("/s/db", Care.SECRET, 0o644, uid=7), "error /s/db: holds secrets", None),
        (Entry("/s/db", Care.SECRET, 0o600, uid=7), "warning /s/db: belongs to user 7, the state", None),
        (Entry("/s/gone", Care.OWN), "ok", None),
        (Entry("/s/boot", Care.OWN, needed=True), "note /s/boot: is not there yet", MakeDirectory("/s/boot")),
    ],
)  # fmt: skip
def test_rights(entry, expected, mend):
    user = 1000 if entry.mode == 0o644 else 0
    (found,) = [each for each in rights.findings([entry], 0, user, []) if each.mend == mend][:1]
    assert said([found])[0].startswith(expected)


def test_of_a_directory_that_is_not_there_only_the_highest_is_told():
    entries = [Entry(path, Care.OWN, needed=True) for path in ("/s", "/s/boot", "/s/logs")]
    assert [each.where for each in rights.findings(entries, None, 0, [])] == ["/s"]
    told = said(rights.findings([], None, 1000, ["/s/vault", "/s/images"]))
    assert told[0] == "note could not look at /s/vault and 1 more (Run this as root.)"


IMAGES = Volume("/s", ("images", "database"), 100 * GIB, 50 * GIB, 10**6, 10**6)


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (IMAGES, ["ok /s: 50 GiB of 100 GiB free (images, database)"]),
        (
            evolve(IMAGES, free=4 * GIB),
            ["warning /s: 4 GiB are free (images, database), and a new version takes up to 5 GiB"],
        ),
        (evolve(IMAGES, free=100 * MIB), ["error /s: only 100 MiB are free"]),
        (evolve(IMAGES, free_inodes=20_000), ["warning /s: 20000 more files fit"]),
        (evolve(IMAGES, free_inodes=500), ["error /s: only 500 more files fit"]),
        (evolve(IMAGES, inodes=0, free_inodes=0), ["ok"]),
        (evolve(IMAGES, holds=("logs",), free=4 * GIB, free_inodes=20_000), ["ok"]),
        (evolve(IMAGES, holds=("logs",), free=0), ["error"]),
        (evolve(IMAGES, read_only=True), ["error /s: is read-only (images, database)"]),
        (evolve(IMAGES, free=0, free_inodes=0), ["error /s: only 0 B", "error /s: only 0 more files"]),
    ],
)
def test_room(volume, expected):
    found = said(space.findings([volume], 5 * GIB, 50_000))
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Database("/db", schema="1"), "ok /db: is whole"),
        (Database("/db", there=False), "note /db: is not there yet"),
        (Database("/db", hidden=True), "note /db: could not be read (Run this as root.)"),
        (Database("/db", fault="file is not a database"), "error /db: file is not a database (Stop the daemon"),
        (Database("/db", damage=("a", "b")), "error /db: is damaged: a (and 1 faults more)"),
        (Database("/db", schema="2"), "error /db: has schema 2, this program knows 1"),
        (Database("/db"), "error /db: has schema None"),
        (Database("/db", schema="1", missing=("nodes.x",)), "note /db: is of an earlier release"),
        (Database("/db", schema="1", orphans={"nics": 3}), "warning /db: 3 rows of nics belong to rows that are gone"),
    ],
)
def test_the_database(found, expected):
    (finding,) = database.findings(found, "1")
    assert said([finding])[0].startswith(expected)
    assert finding.mend == (RemoveOrphans("nics", 3) if found.orphans else None)


def node(name, address=None, image="a", layout="one-disk"):
    return Node(name, (MAC,), ImageRef(image), layout=layout, address=IPv4Address(address) if address else None)


def test_nodes_that_lack_something():
    known = [node("n1", "10.0.0.1"), node("n2", "10.9.0.1"), node("n3", "10.0.0.254"), node("n4", "10.0.0.255"),
             node("n5", image="b", layout="x"), node("n6", "10.0.0.9")]  # fmt: skip
    refs = {ImageRef("a"): "", ImageRef("b"): "there is no image 'b'"}
    found = said(nodes.findings(known, refs, {"one-disk": "", "x": "there is no layout 'x'"}, SETTINGS))
    assert [line.split(" (")[0] for line in found] == [
        "error image b@stable: n5: there is no image 'b'", "error layout x: n5: there is no layout 'x'",
        "error n1: 10.0.0.1 is no address of our subnets that a node may have",
        "error n2: 10.9.0.1 is in none of our subnets",
        "error n3: 10.0.0.254 is the router's of 10.0.0.0/24",
        "error n4: 10.0.0.255 is no address of our subnets that a node may have",
    ]  # fmt: skip
    assert said(nodes.findings([node("n6", "10.0.0.9")], {ImageRef("a"): ""}, {"one-disk": ""}, SETTINGS)) == [
        "ok 1 nodes have images, layouts and addresses that there are"
    ]
    many = [node(f"n{number}", image="b") for number in range(9)]
    assert "n0, n1, n2 and 6 more: " in said(nodes.findings(many, {ImageRef("b"): "gone"}, {}, SETTINGS))[0]


KNOWN = nodes.Named(frozenset({"compute", "compute-1.2"}), frozenset({"gpu"}), frozenset({"n1"}))


@pytest.mark.parametrize(
    ("layers", "scripts", "expected"),
    [
        (("all", "all.protect", "image/compute", "group/gpu", "node/n1.exclude"), {"k": ("10all.x",)}, ["ok"]),
        (("node/n2",), {}, ["warning overrides/node/n2: there is no node 'n2'"]),
        (("group/gpus.protect",), {}, ["warning overrides/group/gpus.protect: there is no group 'gpus'"]),
        (("groups",), {}, ["warning overrides/groups: is no layer"]),
        (("image",), {}, ["warning overrides/image: is no layer"]),
        ((), {"post-install": ("10compute-1.2.x", "01n1.y.j2", "99gpu.z")}, ["ok"]),
        ((), {"k": ("10n2.x", "README")}, ["warning scripts/k/10n2.x", "warning scripts/k/README"]),
    ],
)  # fmt: skip
def test_files_for_names_that_nobody_has(layers, scripts, expected):
    found = said(nodes.file_findings(layers, scripts, KNOWN))
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found


def test_rules():
    rules = [Rule(name, Condition(), Places("n[1-2]", ImageRef("a"))) for name in ("a", "b")]
    assert said(nodes.rule_findings(rules, "", {"a": "", "b": ""}, {"a": "", "b": ""})) == [
        "ok 2 rules, each with places left"
    ]
    found = said(
        nodes.rule_findings(rules, "", {"a": "there is no image 'a'"}, {"a": "x", "b": "every name is a node's"})
    )
    assert found[0] == "error rule a: there is no image 'a'"
    assert found[1].startswith("warning rule b: every name is a node's")
    assert said(nodes.rule_findings((), "rules[0].match: no", {}, {}))[0].startswith("error rules.yaml: rules[0].match")
    assert said(nodes.rule_findings((), "", {}, {})) == []


WHOLE = Image("compute", (1, 2), channels={"stable": 2})


@pytest.mark.parametrize(
    ("image", "expected", "mend"),
    [
        (WHOLE, ["ok 2 versions of 1 images"], None),
        (evolve(WHOLE, damaged={2: "its tree is not there"}), ["error compute@2: its tree is not there"], None),
        (evolve(WHOLE, channels={"canary": 7}), ["error compute@canary: it means version 7, which is not there"], None),
        (evolve(WHOLE, channels={"canary": None}), ["error compute@canary: its file holds no number"], None),
        (evolve(WHOLE, leftovers=(Leftover("/w", "build", True),)), ["note /w: somebody is at work", "ok"], None),
        (evolve(WHOLE, leftovers=(Leftover("/w", "build"),)), ["warning /w: a build was broken off", "ok"],
         RemoveTree("/w", "compute")),
        (evolve(WHOLE, leftovers=(Leftover("/w", "removal"),)), ["warning /w: a removal was", "ok"],
         RemoveTree("/w", "compute")),
        (evolve(WHOLE, leftovers=(Leftover("/w", "capture"),)), ["note /w: a capture was broken off", "ok"],
         None),
        (evolve(WHOLE, leftovers=(Leftover("/w", "edit"),)), ["note /w: a copy is kept", "ok"], None),
        (Image("x", fault="could not be read"), ["error x: could not be read"], None),
    ],
)  # fmt: skip
def test_the_image_store(image, expected, mend):
    made = tuple(images.findings([image], []))
    found = said(made)
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found
    assert next((each.mend for each in made if each.mend), None) == mend


def test_an_empty_store_and_what_is_none_of_ours():
    assert said(images.findings([], ["/s/x"])) == [
        "note /s/x: is no image: nobody looks at it",
        "note there are none yet (`imaged buildimage RECIPE` makes one.)",
    ]


BUILT = Built("6.1", "image:compute@stable", "2026", "A", "D", "6.1")
ALL = ("loaders/undionly.kpxe", "loaders/snponly.efi", "loaders/shimx64.efi")


@pytest.mark.parametrize(
    ("built", "loaders", "expected"),
    [
        (BUILT, ALL, ["ok ramdisk x86_64: kernel 6.1 from image:compute@stable, made 2026"]),
        (None, ALL, ["error ramdisk x86_64: there is none that is whole"]),
        (evolve(BUILT, agent="", dialect=""), ALL, ["warning ramdisk x86_64: does not say which agent"]),
        (evolve(BUILT, agent="B", dialect="E"), ALL, ["error ramdisk x86_64: its agent and this server"]),
        (evolve(BUILT, agent="B"), ALL, ["warning ramdisk x86_64: its agent is not the one of this program"]),
        (evolve(BUILT, kernel_now="6.2"), ALL, ["warning ramdisk x86_64: has kernel 6.1"]),
        (evolve(BUILT, kernel_now=""), ALL, ["ok"]),
        (BUILT, ALL[:2], ["ok", "note loaders/shimx64.efi: is not there: machines with Secure Boot"]),
        (BUILT, ALL[1:], ["ok", "error loaders/undionly.kpxe: no machine with bios firmware can boot"]),
        (BUILT, ALL[:1], ["ok", "error loaders/snponly.efi or loaders/shimx64.efi: no machine with x86_64-efi"]),
    ],
)  # fmt: skip
def test_the_ramdisk(built, loaders, expected):
    made = tuple(ramdisk.findings(Boot({"x86_64": built}, loaders), ["x86_64"], "A", "D"))
    found = said(made)
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found
    wanted = MakeRamdisk("x86_64", built.source if built else "debian")
    assert {each.mend for each in made if each.level.value in ("warning", "error")} <= {wanted}


def test_boot_files_that_others_cannot_read():
    (found,) = ramdisk.findings(Boot(unreadable={"/b/vmlinuz": 0o600}), [], "A", "D")
    assert (found.level.value, found.mend) == ("warning", SetMode("/b/vmlinuz", 0o644))
    arm = said(ramdisk.findings(Boot({"aarch64": BUILT}, ("loaders/shimaa64.efi",)), ["aarch64"], "A", "D"))
    assert [line.split()[0] for line in arm] == ["ok"], "Debian has no iPXE for arm64, and shim does"


NOW = 1_795_000_000.0  # in 2026


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (Clock(NOW, True), "ok 2026-11-18 11:06:40 UTC, kept by NTP"),
        (Clock(NOW), "ok 2026"),
        (Clock(NOW, False), "warning it is 2026-11-18 11:06:40 UTC, and nothing keeps it right"),
        (Clock(0.0, True), "error it is not 1970-01-01"),
        (Clock(5e9, True), "error it is not 2128"),
        (
            Clock(NOW, True, NOW + 3600),
            "error it is 2026-11-18 11:06:40 UTC, and the database has something of",
        ),
        (Clock(NOW, True, NOW + 60), "ok"),
    ],
)
def test_the_clock(clock, expected):
    (found,) = said(system.clock_findings(clock))
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("rsync  version 3.2.7  protocol version 31\n", "ok rsync: is 3.2"),
        ("rsync  version v3.5.0  protocol version 32", "ok rsync: is 3.5"),
        ("rsync  version 3.1.3  protocol version 31", "error rsync: is 3.1"),
        ("openrsync: protocol", "warning rsync: does not tell its version"),
        ("", "error rsync: is not installed: no node gets an image"),
    ],
)
def test_rsync(version, expected):
    found = said(system.program_findings(version, {"ssh": True, "ip": False}, SETTINGS))
    assert found[0].startswith(expected)
    assert found[1:] == ["note ip: is not installed: imaged rehearse need it"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(20_000, 8 * GIB, 4 * GIB), ["ok 20000 open files, 4 GiB memory free"]),
        (Limits(1024, 8 * GIB, 4 * GIB), ["warning 1024 open files, and the settings allow for 2352"]),
        (Limits(20_000, 8 * GIB, 100 * MIB), ["warning 100 MiB of 8 GiB memory are free"]),
        (Limits(1024, GIB, 0), ["warning", "warning"]),
    ],
)
def test_limits(limits, expected):
    found = said(system.limit_findings(limits, SETTINGS))
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found
    few = evolve(SETTINGS, tftp=TftpSettings(sessions=100))
    assert said(system.limit_findings(Limits(1024, GIB, GIB), few))[0].startswith("ok")


def lease(number, state=LeaseState.BOUND, expires=200.0):
    return Lease(IPv4Address(f"10.0.0.{number}"), MAC, state, expires)


@pytest.mark.parametrize(
    ("held", "reserved", "expected"),
    [
        ((), (), "ok pool 10.0.0.100-10.0.0.109: 0 of 10 addresses are taken"),
        ([lease(number) for number in range(100, 110)], (), "error pool 10.0.0.100-10.0.0.109: 10 of 10"),
        ([lease(number, expires=50.0) for number in range(100, 110)], (), "ok pool 10.0.0.100-10.0.0.109: 0 of 10"),
        ([lease(number, LeaseState.RELEASED) for number in range(100, 110)], (), "ok"),
        ([lease(100, LeaseState.DECLINED)], (), "ok pool 10.0.0.100-10.0.0.109: 1 of 10 addresses are taken, 1 of"),
        ([lease(number) for number in range(100, 105)], [IPv4Address(f"10.0.0.{n}") for n in range(105, 110)], "error"),
        ([lease(number) for number in range(100, 104)], [IPv4Address(f"10.0.0.{n}") for n in range(105, 110)], "ok"),
        ([lease(100), lease(7)], [IPv4Address("10.0.0.100")], "ok pool 10.0.0.100-10.0.0.109: 0 of 9"),
    ],
)  # fmt: skip
def test_pools(held, reserved, expected):
    (found,) = said(leases.findings(SETTINGS, held, reserved, 100.0))
    assert found.startswith(expected)


def test_a_large_pool_is_nearly_full_and_a_proxy_has_none():
    pool = AddressRange.parse("10.0.0.10-10.0.0.109")
    settings = evolve(SETTINGS, dhcp=DhcpSettings(DhcpMode.AUTHORITATIVE, (evolve(SUBNET, pool=pool),)))
    (found,) = said(leases.findings(settings, [lease(number) for number in range(10, 105)], (), 100.0))
    assert found.startswith("warning pool 10.0.0.10-10.0.0.109: 95 of 100")
    proxy = evolve(SETTINGS, dhcp=DhcpSettings(DhcpMode.PROXY), discovery=Discovery.ASK)
    assert said(leases.findings(proxy, [], (), 100.0)) == []


def test_what_would_be_done_is_said_as_it_is():
    mends = (
        SetMode("/a", 0o600),
        MakeDirectory("/b"),
        RemoveTree("/c", "i"),
        RemoveOrphans("nics", 3),
        MakeRamdisk("x", "k"),
    )
    assert [str(each) for each in mends] == [
        "chmod 0600 /a", "mkdir /b", "remove /c", "remove 3 orphans from the table nics",
        "imaged mkramdisk --arch x --kernel k",
    ]  # fmt: skip
