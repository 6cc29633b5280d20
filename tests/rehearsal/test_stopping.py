"""When a rehearsal need not wait any longer: what systems write on the console when they have stopped for good."""

from pathlib import Path

import pytest

from imaged.rehearsal.guest import Console
from imaged.rehearsal.stopping import Sign, first, sign

NOW = 1000.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[    2.5] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
         "kernel panic: VFS: Unable to mount root fs on unknown-block(0,0)"),
        ("[    4.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
         "kernel panic: Attempted to kill init! exitcode=0x00000100"),
        ("ALERT!  UUID=1234 does not exist.  Dropping to a shell!",
         "the initramfs opened a shell: UUID=1234 does not exist."),
        ("(initramfs) ", "the initramfs opened a shell"),
        ("dracut:/# ", "the initramfs opened a shell"),
        ("Entering emergency mode. Exit the shell to continue.", "it opened its emergency shell"),
        ("You are in emergency mode. After logging in, type", "it opened its emergency shell"),
        ("Cannot open access to console, the root account is locked.", "it opened its emergency shell"),
        ("You are now being dropped into an emergency shell.", "it opened its emergency shell"),
        ("initramfs emergency recovery shell launched. Type 'exit' to continue boot", "it opened its emergency shell"),
        ("Entering rescue mode...", "GRUB waits at its rescue prompt"),
        ("grub rescue> ", "GRUB waits at its rescue prompt"),
        ("grub> ", "GRUB found no menu and waits at its prompt"),
    ],
)  # fmt: skip
def test_it_has_stopped(tmp_path: Path, text: str, reason: str) -> None:
    """Soon, but not before the lines that belong to it have come; prompts end without a new line."""
    console = Console(tmp_path / "console")
    console.path.write_bytes(b"\x1b[2JLinux version 6.1\r\n" + text.encode())
    console.follow(NOW)
    assert (console.stopped(NOW + 0.5), console.stopped(NOW + 3)) == ("", reason)


@pytest.mark.parametrize(
    "text",
    [
        "Debian GNU/Linux 12 node01 ttyS0", "node01 login:", "[  OK  ] Reached target rescue.target",
        "GNU GRUB  version 2.06",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!", "[    1.0] Command line: panic=5 oops=panic",
        "imaged: transfer 40 %", "Loading Linux 6.1.0 ...", "error: file `/boot/grub/fonts/unicode.pf2' not found.",
    ],
)  # fmt: skip
def test_it_goes_on(text: str) -> None:
    assert sign(text) is None


def test_an_oops_counts_when_nothing_follows_it_for_long(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    with console.path.open("ab", buffering=0) as log:
        log.write(b"BUG: unable to handle page fault for address: ffff\nOops: 0002 [#1] PREEMPT SMP\n")
        console.follow(NOW)
        assert console.stopped(NOW + 100) == ""
        log.write(b"[   20.0] systemd[1]: Started something\n")
        assert console.stopped(NOW + 170) == console.stopped(NOW + 300) == ""
        assert "the kernel stopped after an oops: BUG: unable to handle page fault" in console.stopped(NOW + 400)
        log.write(b"Kernel panic - not syncing: Fatal exception\nCPU: 0 PID: 1\n")
        assert console.stopped(NOW + 500) == "", "its lines may still come"
        assert console.stopped(NOW + 503) == "kernel panic: Fatal exception"


def test_a_machine_that_started_anew_has_not_stopped(tmp_path: Path) -> None:
    """By itself (panic=5), or by its power switch."""
    console = Console(tmp_path / "console")
    with console.path.open("ab", buffering=0) as log:
        log.write(b"Kernel panic - not syncing: x\nRebooting in 1 seconds..\nSeaBIOS\nLinux version 6.1\n")
        assert console.stopped(NOW) == console.stopped(NOW + 60) == ""
        log.write(b"grub rescue> ")
        console.begin(NOW + 100)
        assert console.stopped(NOW + 200) == ""
        log.write(b"SeaBIOS\n")
        assert console.stopped(NOW + 210) == console.stopped(NOW + 220) == ""


def test_of_two_signs_the_more_final_counts_and_of_equals_the_first() -> None:
    oops, panic, later = Sign("oops", 180), Sign("panic", 2), Sign("later", 2)
    assert [first(*pair) for pair in ((None, oops), (oops, panic), (panic, oops), (panic, later), (panic, None))] == [
        oops, panic, panic, panic, panic,
    ]  # fmt: skip
