"""How a node is restarted for a new kernel."""

import subprocess
import time

import pytest

from installer.node.trial import restart

KERNEL = {"version": "6.6", "image": "/boot/vmlinuz-6.6", "initrd": "/boot/initrd.img-6.6"}
SOON = ("systemd-run", "--on-active=3", "--timer-property=AccuracySec=100ms")
LATER = ("sh", "-c", 'setsid sh -c \'sleep 3; exec "$@"\' sh "$@" </dev/null >/dev/null 2>&1 &', "sh")
LOAD = ("kexec", "--load", "/boot/vmlinuz-6.6", "--initrd=/boot/initrd.img-6.6", "--reuse-cmdline")


@pytest.mark.parametrize(
    ("how", "kernel", "systemd", "kexec", "expected"),
    [
        ("never", KERNEL, True, True, []),
        ("cold", KERNEL, True, True, [(*SOON, "systemctl", "reboot")]),
        ("cold", KERNEL, False, True, [(*LATER, "reboot")]),
        ("kexec", KERNEL, True, True, [LOAD, (*SOON, "systemctl", "kexec")]),
        ("kexec", KERNEL, False, True, [LOAD, (*LATER, "kexec", "--exec")]),
        ("kexec", KERNEL, True, False, [(*SOON, "systemctl", "reboot")]),
        ("kexec", None, True, True, [(*SOON, "systemctl", "reboot")]),
    ],
)
def test_restart(how, kernel, systemd, kexec, expected):
    assert restart(how, kernel, systemd, kexec) == expected


def test_without_systemd_the_caller_is_not_waited_with(tmp_path):
    """The command that asks for the reboot ends at once, and what it asked for survives it."""
    seen = tmp_path / "seen"
    asked = restart("cold", None, False, False)[-1][:-1]
    line = [word.replace("sleep 3", f"until test -e {tmp_path}/go; do sleep 0.05; done") for word in asked]
    subprocess.run([*line, "touch", str(seen)], check=True, timeout=30)
    assert not seen.exists()
    (tmp_path / "go").touch()
    deadline = time.monotonic() + 30
    while not seen.exists() and time.monotonic() < deadline:
        pass
    assert seen.exists()
