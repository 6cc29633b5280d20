"""Which program comes next, as a table."""

from ipaddress import IPv4Address

import pytest
from attrs import evolve

from imaged.model.boot import Arch, BootClient, BootOffer, Chain, LocalBoot, Stage
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node
from imaged.model.settings import DhcpMode, DhcpSettings, Settings
from imaged.planning import boot
from imaged.planning.dhcp_reply import _FILE_MAX

MAC = Mac.parse("52:54:00:12:34:56")
UUID = "00112233-4455-6677-8899-aabbccddeeff"
SETTINGS = Settings(IPv4Address("10.0.0.1"))
INSTALL = Node("n1", (MAC,), ImageRef("compute"))
LOCAL = Node("n1", (MAC,), ImageRef("compute"), action=BootAction.LOCAL)
SCRIPT = BootOffer("http://10.0.0.1:8080/ipxe/52:54:00:12:34:56")


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
def test_next_program(arch, stage, node, expected):
    assert boot.decide(BootClient(MAC, arch, stage), node, SETTINGS) == expected


SIGNED = BootOffer("loaders/shimx64.efi")
IPXE = BootOffer("loaders/snponly.efi")


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
def test_chain_of_uefi(chain, secure_boot, install, local):
    client = BootClient(MAC, Arch.X86_64, Stage.ROM)
    for node, expected in ((INSTALL, install), (LOCAL, local)):
        assert boot.decide(client, evolve(node, secure_boot=secure_boot), SETTINGS, chain) == expected


@pytest.mark.parametrize(("chain", "expected"), [(Chain.AUTO, IPXE), (Chain.IPXE, IPXE), (Chain.GRUB, SIGNED)])
def test_chain_of_a_machine_without_a_name(chain, expected):
    assert boot.decide(BootClient(MAC, Arch.X86_64, Stage.ROM), None, SETTINGS, chain) == expected


@pytest.mark.parametrize("chain", list(Chain))
@pytest.mark.parametrize(
    ("arch", "stage"),
    [(Arch.BIOS, Stage.ROM), (Arch.ARM64, Stage.ROM), (Arch.X86_64, Stage.HTTP), (Arch.X86_64, Stage.IPXE)],
)
def test_other_clients_have_one_chain(chain, arch, stage):
    client = BootClient(MAC, arch, stage)
    assert boot.decide(client, INSTALL, SETTINGS, chain) == boot.decide(client, INSTALL, SETTINGS)


@pytest.mark.parametrize("stage", [Stage.ROM, Stage.HTTP])
@pytest.mark.parametrize("arch", list(Arch))
@pytest.mark.parametrize("node", [LOCAL, None])
def test_beside_another_server_nothing_is_said_to_machines_that_are_left_alone(node, arch, stage):
    proxy = Settings(IPv4Address("10.0.0.1"), dhcp=DhcpSettings(DhcpMode.PROXY))
    assert boot.decide(BootClient(MAC, arch, stage), node, proxy) == LocalBoot()


def test_the_script_is_asked_for_by_uuid_too_and_fits_the_header():
    longest = Settings(IPv4Address("192.168.100.200"))
    url = boot.script_url(BootClient(MAC, Arch.BIOS, Stage.IPXE, UUID), longest)
    assert url == f"http://192.168.100.200:8080/ipxe/52:54:00:12:34:56?uuid={UUID}"
    assert len(url) <= _FILE_MAX
