"""Leaving a running system for the installer: how, with which command line, and what GRUB's own file says."""

import pytest

from installer.node import reinstall
from installer.node.errors import Failed, Refused
from installer.node.reinstall import Link, command_line, leave, link_of, netmask, way, with_entry

LINK = Link("ens1", "52:54:00:12:34:56", "10.99.0.20/24", "10.99.0.1")


@pytest.mark.parametrize(
    ("by", "kexec", "menu", "grub_reboot", "expected"),
    [
        ("auto", True, True, True, "kexec"),
        ("auto", False, True, True, "menu"),
        ("menu", True, True, True, "menu"),
        ("kexec", True, False, False, "kexec"),
    ],
)
def test_way(by, kexec, menu, grub_reboot, expected):
    assert way(by, kexec, menu, grub_reboot) == expected


@pytest.mark.parametrize(
    ("by", "kexec", "menu", "grub_reboot", "what"),
    [
        ("auto", False, True, False, "kexec is not installed, and there is no /boot/grub/grub.cfg"),
        ("kexec", False, True, True, "kexec is not installed"),
        ("menu", True, False, True, "no grub-reboot"),
    ],
)
def test_no_way(by, kexec, menu, grub_reboot, what):
    with pytest.raises(Failed, match=what):
        way(by, kexec, menu, grub_reboot)


@pytest.mark.parametrize(
    ("static", "expected"),
    [
        (False, "rdinit=/sbin/imaged-init BOOTIF=01-52-54-00-12-34-56 A"),
        (True, "rdinit=/sbin/imaged-init BOOTIF=01-52-54-00-12-34-56 "
               "ip=10.99.0.20::10.99.0.1:255.255.255.0::52-54-00-12-34-56:off A"),
    ],
)  # fmt: skip
def test_command_line(static, expected):
    assert command_line("A", LINK, static) == expected


@pytest.mark.parametrize(
    ("bits", "mask"), [(0, "0.0.0.0"), (20, "255.255.240.0"), (24, "255.255.255.0"), (32, "255.255.255.255")]
)
def test_netmask(bits, mask):
    assert netmask(bits) == mask


ROUTE = "10.99.0.1 dev ens1 src 10.99.0.20 uid 0 \\    cache \n"
ADDRESSES = (
    "2: ens1    inet 10.99.0.9/16 scope global ens1\n2: ens1    inet 10.99.0.20/24 brd 10.99.0.255 scope global\n"
)


@pytest.mark.parametrize(
    ("route", "addresses", "default", "expected"),
    [
        (ROUTE, ADDRESSES, "default via 10.99.0.1 proto dhcp \n", LINK),
        (ROUTE, ADDRESSES, "", LINK._replace(gateway="")),
        (ROUTE, "", "default scope link", Link("ens1", LINK.mac, "10.99.0.20/32", "")),
    ],
)
def test_link(route, addresses, default, expected):
    assert link_of(route, addresses, default, LINK.mac) == expected


def test_no_route_is_said():
    with pytest.raises(Failed, match="not known"):
        link_of("RTNETLINK answers: unreachable", "", "", LINK.mac)


def test_the_entry_replaces_only_itself():
    once = with_entry("menuentry 'mine' { true }", "/v", "/i", "A B")
    assert once.startswith("menuentry 'mine' { true }\n# imaged: begin\n")
    assert "    linux /v A B\n    initrd /i\n" in once
    again = with_entry(once, "/v", "/i", "A C")
    assert again.count("menuentry") == 2
    assert "A B" not in again
    assert with_entry(again, "/v", "/i", "A B") == once


@pytest.mark.parametrize(
    ("how", "systemd", "argv"),
    [
        ("kexec", True, ("systemctl", "kexec")),
        ("kexec", False, ("kexec", "--exec")),
        ("menu", True, ("systemctl", "reboot")),
        ("menu", False, ("reboot",)),
    ],
)
def test_leave(how, systemd, argv):
    assert leave(how, systemd) == argv


def test_nothing_happens_without_yes(tmp_path):
    with pytest.raises(Refused, match="may be wiped"):
        reinstall.reinstall("/", "auto", False, False, print)
    with pytest.raises(Failed, match="only the running system"):
        reinstall.reinstall(str(tmp_path), "auto", False, True, print)
