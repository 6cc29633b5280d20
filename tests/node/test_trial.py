"""How a node is restarted for a new kernel."""

import pytest

from installer.node.trial import restart

KERNEL = {"version": "6.6", "image": "/boot/vmlinuz-6.6", "initrd": "/boot/initrd.img-6.6"}
LOAD = ("kexec", "--load", "/boot/vmlinuz-6.6", "--initrd=/boot/initrd.img-6.6", "--reuse-cmdline")


@pytest.mark.parametrize(
    ("how", "kernel", "systemd", "kexec", "expected"),
    [
        ("never", KERNEL, True, True, []),
        ("cold", KERNEL, True, True, [("systemctl", "reboot")]),
        ("cold", KERNEL, False, True, [("reboot",)]),
        ("kexec", KERNEL, True, True, [LOAD, ("systemctl", "kexec")]),
        ("kexec", KERNEL, False, True, [LOAD, ("kexec", "--exec")]),
        ("kexec", KERNEL, True, False, [("systemctl", "reboot")]),
        ("kexec", None, True, True, [("systemctl", "reboot")]),
    ],
)
def test_restart(how, kernel, systemd, kexec, expected):
    assert restart(how, kernel, systemd, kexec) == expected
