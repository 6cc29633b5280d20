"""How an install ends: which kernel kexec would load, what is called, what stays on the node."""

from pathlib import Path

import pytest

from imaged.model.errors import ImagedError
from imaged.model.wishes import Then, Wishes
from installer import ending
from installer.__main__ import both
from installer.ending import Kernel, first_kernel
from installer.process import Completed

MENU = """set default=0
menuentry 'Debian' {
	insmod ext2
	linux	/boot/vmlinuz-6.1 root=UUID=aa ro console=ttyS0,115200
	initrd	/boot/initrd.img-6.1
}
menuentry 'older' {
	linux	/boot/vmlinuz-5.10 root=UUID=aa
	initrd	/boot/initrd.img-5.10
}
"""
FIRST = Kernel("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1", "root=UUID=aa ro console=ttyS0,115200")


@pytest.mark.parametrize(
    ("menu", "boot", "expected"),
    [
        (MENU, "", FIRST),
        (MENU.replace("/boot/", "/"), "/boot", FIRST),
        ("linuxefi /vmlinuz a=b\ninitrdefi /i\n", "/boot", Kernel("/boot/vmlinuz", "/boot/i", "a=b")),
        ("linux /vmlinuz\n", "", Kernel("/vmlinuz", "", "")),
        ("linux /a x\nlinux /b y\ninitrd /c\n", "", Kernel("/a", "", "x")),
        ("linux /a root=$root\n", "", None),
        ("blscfg\n", "", None),
        ("", "", None),
    ],
)
def test_first_kernel(menu: str, boot: str, expected: Kernel | None) -> None:
    assert first_kernel(menu, boot) == expected


class Calls:
    """Records command lines."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def __call__(self, argv, **_):
        self.seen.append(tuple(argv))
        return Completed(tuple(argv), 0, "", "")


@pytest.mark.parametrize("place", ["/boot/", "/"])
def test_load_finds_the_kernel_below_the_root(tmp_path: Path, place: str) -> None:
    (tmp_path / "boot/grub").mkdir(parents=True)
    (tmp_path / "boot/grub/grub.cfg").write_text(MENU.replace("/boot/", place))
    (tmp_path / "boot/vmlinuz-6.1").write_text("kernel")
    calls = Calls()
    ending.load(tmp_path, calls)
    assert calls.seen == [
        ("kexec", "--load", "--kexec-syscall-auto", f"{tmp_path}/boot/vmlinuz-6.1",
         f"--initrd={tmp_path}/boot/initrd.img-6.1", "--command-line=root=UUID=aa ro console=ttyS0,115200"),
    ]  # fmt: skip


def test_no_menu_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImagedError, match="no kernel"):
        ending.load(tmp_path, Calls())


@pytest.mark.parametrize(
    ("then", "argv", "code"),
    [
        (Then.REBOOT, [("reboot", "-f")], 0),
        (Then.KEXEC, [("kexec", "--exec")], 0),
        (Then.SHUTDOWN, [("poweroff", "-f")], 0),
        (Then.SHELL, [], 10),
        (Then.BEEP, [], 11),
    ],
)
def test_leave(then: Then, argv: list[tuple[str, ...]], code: int) -> None:
    calls = Calls()
    assert ending.leave(then, calls) == code
    assert calls.seen == argv


def test_the_log_is_left_on_the_node_for_its_root(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text("step: wipe\n")
    ending.keep_log(journal, tmp_path / "root")
    kept = tmp_path / "root/var/log/imaged-install.log"
    assert kept.read_text() == "step: wipe\n"
    assert kept.stat().st_mode & 0o777 == 0o640


def test_what_was_typed_at_the_machine_outranks_the_server() -> None:
    assert both(Wishes(then=Then.KEXEC), Wishes()).then is Then.KEXEC
    assert both(Wishes(then=Then.KEXEC), Wishes(then=Then.SHELL)).then is Then.SHELL
