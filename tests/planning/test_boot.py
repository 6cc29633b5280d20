"""Which program comes next, as a table."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve

from imaged.model.boot import LOADERS, SHIMS, Arch, BootClient, BootOffer, Chain, LocalBoot, Stage
from imaged.model.errors import ImagedError
from imaged.model.machine import Discovery
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.next_boot import MEMTEST
from imaged.model.node import BootAction, Node
from imaged.model.settings import DhcpMode, DhcpSettings, Settings, Subnet
from imaged.planning import boot
from imaged.planning.dhcp_reply import _FILE_MAX

MAC = Mac.parse("52:54:00:12:34:56")
UUID = "00112233-4455-6677-8899-aabbccddeeff"
SETTINGS = Settings(IPv4Address("10.0.0.1"))
INSTALL = Node("n1", (MAC,), ImageRef("compute"))
LOCAL = Node("n1", (MAC,), ImageRef("compute"), action=BootAction.LOCAL)
SCRIPT = BootOffer("http://10.0.0.1:8080/ipxe/52:54:00:12:34:56")


BOTH = frozenset((*LOADERS.values(), *SHIMS.values()))


@pytest.mark.parametrize(
    ("arch", "stage", "node", "expected"),
    [
        (Arch.BIOS, Stage.ROM, INSTALL, BootOffer("loaders/undionly.kpxe")),
        (Arch.X86_64, Stage.ROM, INSTALL, BootOffer("loaders/snponly.efi")),
        (Arch.ARM64, Stage.ROM, INSTALL, BootOffer("loaders/snponly-arm64.efi")),
        (Arch.OTHER, Stage.ROM, INSTALL, None),
        (Arch.X86_64, Stage.HTTP, INSTALL, BootOffer("http://10.0.0.1:8080/boot/loaders/snponly.efi")),
        (Arch.ARM64, Stage.HTTP, INSTALL, BootOffer("http://10.0.0.1:8080/boot/loaders/snponly-arm64.efi")),
        (Arch.BIOS, Stage.HTTP, INSTALL, None),
        (Arch.OTHER, Stage.HTTP, INSTALL, None),
        *((arch, Stage.IPXE, node, SCRIPT) for arch in Arch for node in (INSTALL, LOCAL, None)),
        *((arch, stage, node, LocalBoot()) for arch in (Arch.BIOS, Arch.OTHER)
          for stage in (Stage.ROM, Stage.HTTP) for node in (LOCAL, None)),
        # Left alone all the same: what it loads runs a script that says `exit`.
        *((Arch.X86_64, Stage.ROM, node, BootOffer("loaders/snponly.efi")) for node in (LOCAL, None)),
        *((Arch.X86_64, Stage.HTTP, node, BootOffer("http://10.0.0.1:8080/boot/loaders/snponly.efi"))
          for node in (LOCAL, None)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("served", [frozenset(LOADERS.values()), frozenset()])
def test_next_program(arch, stage, node, expected, served):
    """By iPXE; where nothing at all is served, the server's log is to name what is missing."""
    assert boot.decide(BootClient(MAC, arch, stage), node, SETTINGS, Chain.AUTO, served) == expected


SIGNED = {Arch.X86_64: BootOffer("loaders/shimx64.efi"), Arch.ARM64: BootOffer("loaders/shimaa64.efi")}
IPXE = {Arch.X86_64: BootOffer("loaders/snponly.efi"), Arch.ARM64: BootOffer("loaders/snponly-arm64.efi")}


@pytest.mark.parametrize("arch", SIGNED)
@pytest.mark.parametrize(
    ("chain", "secure_boot", "install", "local"),
    [
        (Chain.AUTO, None, SIGNED, IPXE),
        (Chain.AUTO, True, SIGNED, SIGNED),
        (Chain.AUTO, False, IPXE, IPXE),
        *((Chain.IPXE, known, IPXE, IPXE) for known in (None, True, False)),
        *((Chain.GRUB, known, SIGNED, SIGNED) for known in (None, True, False)),
    ],
)
def test_chain_of_uefi(chain, secure_boot, install, local, arch):
    client = BootClient(MAC, arch, Stage.ROM)
    for node, expected in ((INSTALL, install), (LOCAL, local)):
        of_node = evolve(node, secure_boot=secure_boot)
        assert boot.decide(client, of_node, SETTINGS, chain, BOTH) == expected[arch]


@pytest.mark.parametrize(
    ("action", "expected"),
    [(BootAction.RESCUE, SIGNED), (BootAction.KERNEL, SIGNED), (BootAction.MEMTEST, IPXE), (BootAction.IPXE, IPXE)],
)
def test_what_nobody_signed_comes_by_ipxe_where_secure_boot_is_not_known(action, expected):
    """Where it turns out to be on, the firmware refuses iPXE and goes on to the disk."""
    node = evolve(INSTALL, action=action)
    client = BootClient(MAC, Arch.X86_64, Stage.ROM)
    assert boot.decide(client, node, SETTINGS, Chain.AUTO, BOTH) == expected[Arch.X86_64]
    for known, answer in ((True, SIGNED), (False, IPXE)):
        of_node = evolve(node, secure_boot=known)
        assert boot.decide(client, of_node, SETTINGS, Chain.AUTO, BOTH) == answer[Arch.X86_64]
    assert boot.decide(BootClient(MAC, Arch.BIOS, Stage.ROM), node, SETTINGS, Chain.AUTO, BOTH) == BootOffer(
        "loaders/undionly.kpxe"
    )


EVERYTHING = BOTH | frozenset(MEMTEST.values())


@pytest.mark.parametrize(
    ("action", "secure_boot", "arch", "chain", "served", "why"),
    [
        (BootAction.MEMTEST, None, "x86_64", Chain.AUTO, EVERYTHING, ""),
        (BootAction.MEMTEST, False, "", Chain.GRUB, EVERYTHING, ""),
        (BootAction.MEMTEST, True, "x86_64", Chain.AUTO, EVERYTHING, "nobody signed memtest86"),
        (BootAction.MEMTEST, None, "aarch64", Chain.AUTO, EVERYTHING, "this is aarch64"),
        (BootAction.MEMTEST, None, "x86_64", Chain.AUTO, BOTH, "memtest86. is not here"),
        (BootAction.IPXE, None, "x86_64", Chain.AUTO, BOTH, ""),
        (BootAction.IPXE, None, "", Chain.AUTO, frozenset(), ""),
        (BootAction.IPXE, True, "x86_64", Chain.IPXE, BOTH, ""),
        (BootAction.IPXE, True, "x86_64", Chain.AUTO, BOTH, "Secure Boot is on"),
        (BootAction.IPXE, None, "x86_64", Chain.GRUB, BOTH, "its subnet says so"),
        (BootAction.IPXE, None, "aarch64", Chain.AUTO, frozenset(SHIMS.values()), "no iPXE for aarch64"),
        *((action, True, "aarch64", chain, frozenset(), "") for chain in Chain
          for action in (BootAction.INSTALL, BootAction.LOCAL, BootAction.RESCUE, BootAction.KERNEL)),
    ],
)  # fmt: skip
def test_actions_that_a_machine_cannot_do_are_refused_beforehand(action, secure_boot, arch, chain, served, why):
    node = evolve(INSTALL, secure_boot=secure_boot)
    if not why:
        boot.refuse(node, action, arch, chain, served)
        return
    with pytest.raises(ImagedError, match=why):
        boot.refuse(node, action, arch, chain, served)


def test_the_chain_of_a_nodes_own_subnet():
    subnets = (
        Subnet(IPv4Network("10.0.0.0/24"), chain=Chain.IPXE),
        Subnet(IPv4Network("10.1.0.0/24"), chain=Chain.GRUB),
    )
    settings = evolve(SETTINGS, dhcp=DhcpSettings(DhcpMode.AUTHORITATIVE, subnets))
    for address, chain in (("10.0.0.7", Chain.IPXE), ("10.1.0.7", Chain.GRUB), ("10.2.0.7", Chain.AUTO)):
        assert boot.chain_of_node(evolve(INSTALL, address=IPv4Address(address)), settings) is chain
    assert boot.chain_of_node(INSTALL, settings) is Chain.AUTO


@pytest.mark.parametrize(("chain", "expected"), [(Chain.AUTO, IPXE), (Chain.IPXE, IPXE), (Chain.GRUB, SIGNED)])
@pytest.mark.parametrize("arch", SIGNED)
def test_chain_of_a_machine_without_a_name(chain, expected, arch):
    assert boot.decide(BootClient(MAC, arch, Stage.ROM), None, SETTINGS, chain, BOTH) == expected[arch]


@pytest.mark.parametrize("chain", [Chain.AUTO, Chain.IPXE])
def test_where_there_is_no_ipxe_named_machines_get_shim(chain):
    """Debian 12 on arm64. A machine without a name goes on to its disk, which GRUB might keep it from."""
    client = BootClient(MAC, Arch.ARM64, Stage.ROM)
    answers = [
        boot.decide(client, node, SETTINGS, chain, {"loaders/shimaa64.efi", "loaders/snponly.efi"})
        for node in (INSTALL, LOCAL, evolve(INSTALL, secure_boot=False), None)
    ]
    assert answers == [SIGNED[Arch.ARM64]] * 3 + [LocalBoot()]


@pytest.mark.parametrize("chain", list(Chain))
@pytest.mark.parametrize(
    ("arch", "stage", "expected"),
    [
        (Arch.BIOS, Stage.ROM, BootOffer("loaders/undionly.kpxe")),
        (Arch.X86_64, Stage.HTTP, BootOffer("http://10.0.0.1:8080/boot/loaders/snponly.efi")),
        (Arch.X86_64, Stage.IPXE, SCRIPT),
    ],
)
def test_other_clients_have_one_chain(chain, arch, stage, expected):
    assert boot.decide(BootClient(MAC, arch, stage), INSTALL, SETTINGS, chain, BOTH) == expected


@pytest.mark.parametrize("stage", [Stage.ROM, Stage.HTTP])
@pytest.mark.parametrize("arch", list(Arch))
@pytest.mark.parametrize("node", [LOCAL, None])
def test_beside_another_server_nothing_is_said_to_machines_that_are_left_alone(node, arch, stage):
    proxy = Settings(IPv4Address("10.0.0.1"), dhcp=DhcpSettings(DhcpMode.PROXY))
    assert boot.decide(BootClient(MAC, arch, stage), node, proxy, Chain.AUTO, BOTH) == LocalBoot()


@pytest.mark.parametrize("mode", [DhcpMode.AUTHORITATIVE, DhcpMode.PROXY])
@pytest.mark.parametrize("discovery", [Discovery.ASK, Discovery.INVENTORY])
@pytest.mark.parametrize(
    ("arch", "node", "expected"),
    [
        (Arch.BIOS, None, BootOffer("loaders/undionly.kpxe")),
        (Arch.X86_64, None, BootOffer("loaders/snponly.efi")),
        (Arch.OTHER, None, None),
        (Arch.BIOS, LOCAL, LocalBoot()),
    ],
)
def test_a_machine_without_a_name_that_is_to_be_asked_gets_a_loader(mode, discovery, arch, node, expected):
    settings = evolve(SETTINGS, discovery=discovery, dhcp=DhcpSettings(mode))
    assert boot.decide(BootClient(MAC, arch, Stage.ROM), node, settings, Chain.AUTO, BOTH) == expected


def test_the_script_is_asked_for_by_uuid_too_and_fits_the_header():
    longest = Settings(IPv4Address("192.168.100.200"))
    url = boot.script_url(BootClient(MAC, Arch.BIOS, Stage.IPXE, UUID), longest)
    assert url == f"http://192.168.100.200:8080/ipxe/52:54:00:12:34:56?uuid={UUID}"
    assert len(url) <= _FILE_MAX
