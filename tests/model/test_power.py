"""Addresses of power control as people write them, and what of them never shows."""

import pytest

from imaged.model.errors import BadInput
from imaged.model.power import PowerAccess, PowerAddress, PowerKind, fingerprint, password

IPMI, REDFISH, WOL = PowerKind.IPMI, PowerKind.REDFISH, PowerKind.WOL


@pytest.mark.parametrize(
    ("text", "expected", "back"),
    [
        ("ipmi://admin@10.0.0.9", PowerAddress(IPMI, "admin", "10.0.0.9", 623), ""),
        ("ipmi://admin@10.0.0.9:623", PowerAddress(IPMI, "admin", "10.0.0.9", 623), "ipmi://admin@10.0.0.9"),
        ("ipmi://admin@10.0.0.9:9001", PowerAddress(IPMI, "admin", "10.0.0.9", 9001), ""),
        ("ipmi://a%40b@Node1-BMC/", PowerAddress(IPMI, "a@b", "node1-bmc", 623), "ipmi://a%40b@node1-bmc"),
        ("ipmi://admin@[fe80::1]", PowerAddress(IPMI, "admin", "[fe80::1]", 623), ""),
        ("ipmi://admin@{name}-bmc", PowerAddress(IPMI, "admin", "{name}-bmc", 623), ""),
        ("redfish://root@bmc1", PowerAddress(REDFISH, "root", "bmc1", 443), ""),
        ("redfish://root@bmc1:8443/redfish/v1/Systems/1",
         PowerAddress(REDFISH, "root", "bmc1", 8443, "/redfish/v1/Systems/1"), ""),
        ("redfish://root@chassis/redfish/v1/Systems/{name}",
         PowerAddress(REDFISH, "root", "chassis", 443, "/redfish/v1/Systems/{name}"), ""),
        ("wol:", PowerAddress(WOL), ""),
    ],
)  # fmt: skip
def test_an_address_is_read_and_written(text: str, expected: PowerAddress, back: str) -> None:
    assert PowerAddress.parse(text) == expected
    assert str(expected) == (back or text)
    assert PowerAddress.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no kind of power control"),
        ("10.0.0.9", "no kind of power control"),
        ("http://admin@10.0.0.9", "'http' is no kind"),
        ("IPMI://admin@10.0.0.9", "'IPMI' is no kind"),
        ("ipmi://10.0.0.9", "'' is no user"),
        ("ipmi://@10.0.0.9", "'' is no user"),
        ("ipmi://a-name-of-17-byte@10.0.0.9", "is no user"),
        ("ipmi://ad%0Amin@10.0.0.9", "is no user"),
        ("ipmi://admin@", "no host"),
        ("ipmi:admin@10.0.0.9", "no host"),
        ("ipmi://admin@10.0.0.9;reboot", "no host"),
        ("ipmi://admin@{node}-bmc", "no host"),
        ("ipmi://admin@host?x=1", "no host"),
        ("ipmi://admin@host:99999", "no address"),
        ("ipmi://admin@[::1", "no address"),
        ("ipmi://admin@host/system", "no path of a ipmi"),
        ("redfish://admin@host/a b", "no path of a redfish"),
        ("wol:52:54:00:00:00:01", "nothing goes behind"),
        ("wol://", "nothing goes behind"),
    ],
)
def test_no_address(text: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        PowerAddress.parse(text)


def test_a_password_is_told_to_nobody() -> None:
    with pytest.raises(BadInput) as refused:
        PowerAddress.parse("ipmi://admin:swordfish@10.0.0.9")
    assert "swordfish" not in str(refused.value)
    with pytest.raises(BadInput) as refused:
        password("swordfish-of-21-bytes", IPMI)
    assert "swordfish" not in str(refused.value)
    access = PowerAccess(PowerAddress.parse("ipmi://admin@10.0.0.9"), "swordfish")
    assert "swordfish" not in f"{access} {access!r} {access.of('n1')}"


@pytest.mark.parametrize("text", ["word", "word\n", "word\r\nmore\n"])
def test_a_password_is_the_first_line(text: str) -> None:
    assert password(text, IPMI) == "word"


def test_what_is_no_password() -> None:
    for text in ("", "\n", "\nword"):
        with pytest.raises(BadInput, match="empty"):
            password(text, REDFISH)
    assert len(password("x" * 21, REDFISH)) == 21


def test_the_name_of_a_node_takes_its_place() -> None:
    pattern = PowerAddress.parse("redfish://root@{name}-bmc/redfish/v1/Systems/{name}")
    assert str(pattern.of("node07")) == "redfish://root@node07-bmc/redfish/v1/Systems/node07"


@pytest.mark.parametrize("text", ["ab" * 32, "AB:" * 31 + "AB", "sha256 Fingerprint=" + "AB:" * 31 + "AB\n"])
def test_fingerprints(text: str) -> None:
    assert fingerprint(text) == "ab" * 32


@pytest.mark.parametrize("text", ["", "ab", "ab" * 33, "sha1:" + "ab" * 20, "zz" * 32])
def test_no_fingerprints(text: str) -> None:
    with pytest.raises(BadInput, match="no SHA-256 fingerprint"):
        fingerprint(text)
