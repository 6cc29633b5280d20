"""The ssh_config(5) by which nodes are reached."""

from ipaddress import IPv4Address

import pytest

from imaged.model.errors import BadInput
from imaged.planning.ssh import Door, config, host_key, known_hosts

KNOWN = Door("n1", IPv4Address("10.0.0.7"), ("ssh-ed25519 AAAA root@n1", "ssh-rsa BBBB root@n1"))
STRANGER = Door("n2", None)


def test_known_hosts() -> None:
    assert known_hosts((KNOWN, STRANGER)) == "n1 ssh-ed25519 AAAA root@n1\nn1 ssh-rsa BBBB root@n1\n"


def test_config() -> None:
    """ssh takes the first value it finds: the admin's options come first."""
    assert config((KNOWN, STRANGER), known="/run/k", user="root", key="/k/id", options=("Port=2222",)) == (
        "Port 2222\n"
        'Host n1\n  HostName 10.0.0.7\n  HostKeyAlias n1\n  UserKnownHostsFile "/run/k"\n  StrictHostKeyChecking yes\n'
        "Host n2\n  StrictHostKeyChecking accept-new\n"
        "Host *\n  User root\n  BatchMode yes\n  ConnectTimeout 20\n  ServerAliveInterval 15\n  ServerAliveCountMax 4\n"
        '  LogLevel ERROR\n  GlobalKnownHostsFile /dev/null\n  IdentityFile "/k/id"\n'
    )


def test_in_the_ramdisk_there_is_root_alone() -> None:
    text = config((Door("n1", None, ("ssh-ed25519 AAAA",), "root"),), known="/run/k", user="ann")
    assert text.index("User root") < text.index("User ann")


@pytest.mark.parametrize(("text", "key"), [("", None), ("ssh-ed25519 AAAA+/0=", "ssh-ed25519 AAAA+/0=")])
def test_a_key_that_was_told(text: str, key: str | None) -> None:
    assert host_key(text) == key


@pytest.mark.parametrize(
    "text",
    ["ssh-ed25519 AAAA\nn2 ssh-ed25519 BBBB", "ssh-ed25519 AAAA root@x", "ssh-ed25519", "x", "ssh-ed25519 AAAA\n",
     "@cert-authority ssh-ed25519 AAAA", "ssh-ed25519 " + "A" * 300, "ssh-ed25519 ÄAAA"],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        host_key(text)
