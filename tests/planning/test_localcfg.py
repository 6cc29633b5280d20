"""local.cfg: what it says, what it cannot say, and the kernel's ip= that it becomes."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.planning.localcfg import LocalConfig, ip_argument, read

STATIC = """# written by si_prepareclient
HOSTNAME=node07
DOMAINNAME="hpc.example"
export IPADDR='10.1.2.7'   # fixed
NETMASK=255.255.0.0
NETWORK=10.1.0.0
BROADCAST=10.1.255.255
GATEWAY=10.1.0.1
DEVICE=eth0
IMAGESERVER=10.1.0.2
"""

READ = [
    ("", LocalConfig(), ""),
    ("\n# nothing\nHOSTNAME=\n", LocalConfig(), ""),
    ("HOSTNAME=n1\n", LocalConfig(hostname="n1"), ""),
    ("DEVICE=eno1\n", LocalConfig(device="eno1"), "ip=:::::eno1:dhcp"),
    ("device=52-54-00-12-34-56\n", LocalConfig(device="52:54:00:12:34:56"), "ip=:::::52-54-00-12-34-56:dhcp"),
    ("IPADDR=10.0.0.7\n", LocalConfig(address=IPv4Address("10.0.0.7"), netmask="255.255.255.0"),
     "ip=10.0.0.7:::255.255.255.0:::off"),
    ("IPADDR=10.0.0.7\nNETMASK=16\n", LocalConfig(address=IPv4Address("10.0.0.7"), netmask="255.255.0.0"),
     "ip=10.0.0.7:::255.255.0.0:::off"),
    (STATIC, LocalConfig("node07", "hpc.example", IPv4Address("10.1.2.7"), "255.255.0.0", IPv4Address("10.1.0.1"),
                         "eth0", "10.1.0.2"), "ip=10.1.2.7::10.1.0.1:255.255.0.0:node07:eth0:off"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "config", "argument"), READ)
def test_read(text: str, config: LocalConfig, argument: str) -> None:
    assert read(text, where="local.cfg") == config
    assert ip_argument(config) == argument


def test_what_means_nothing_here_is_named_line_by_line() -> None:
    found = read("HOSTNAME=n1\nFLAMETHROWER_DIRECTORY_PORTBASE=9000\nIMAGENAME=compute\n", where="local.cfg").ignored
    assert found == (
        "local.cfg, line 2: FLAMETHROWER_DIRECTORY_PORTBASE means nothing here",
        "local.cfg, line 3: IMAGENAME means nothing here",
    )


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("if true; then\n", "is not NAME=VALUE", "local.cfg, line 1"),
        ("\nIPADDR=10.0.0\n", "IPADDR: '10.0.0' is no IPv4 address", "local.cfg, line 2"),
        ("GATEWAY=gw\n", "GATEWAY: 'gw' is no IPv4 address", "local.cfg, line 1"),
        ("NETMASK=255.0.255.0\n", "is no netmask", "local.cfg, line 1"),
        ("HOSTNAME=a_b!\n", "is no host name", "local.cfg, line 1"),
        ("HOSTNAME=$(hostname)\n", "is not one plain value", "local.cfg, line 1"),
        ("HOSTNAME=a b\n", "is not one plain value", "local.cfg, line 1"),
        ("HOSTNAME='a\n", "no closing quotation", "local.cfg, line 1"),
        ("DEVICE=a:b\n", "is no network interface", "local.cfg, line 1"),
        ("DEVICE=averyveryverylongname\n", "is no network interface", "local.cfg, line 1"),
        ("GATEWAY=10.0.0.1\n", "without IPADDR", "local.cfg"),
        ("IPADDR=10.0.0.7\nGATEWAY=10.0.1.1\n", "10.0.1.1 is not within 10.0.0.0/24", "local.cfg"),
    ],
)
def test_bad_lines(text: str, what: str, where: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(text, where="local.cfg")
    assert what in caught.value.what
    assert caught.value.where == where


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        argument = ip_argument(read(text, where="local.cfg"))
    except BadInput:
        return
    assert " " not in argument
    assert "\n" not in argument
