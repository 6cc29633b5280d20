"""Kernels on trial, with a menu that Debian 12's grub-mkconfig wrote."""

from pathlib import Path

import pytest

from installer.node.kernels import (
    MenuEntry,
    Pending,
    Verdict,
    belongs,
    entry_of,
    format_pending,
    held,
    judge,
    menu,
    owner,
    parse_pending,
    switch,
    to_try,
)

MENU = (Path(__file__).parents[1] / "data/grub/debian-12.cfg").read_text()
UUID = "5c1b6f0e-2f4c-4d5e-9b0a-111122223333"
OLD, NEW = "6.1.0-13-amd64", "6.1.0-28-amd64"


def advanced(version):
    return f"gnulinux-advanced-{UUID}>gnulinux-{version}-advanced-{UUID}"


PENDING = Pending(NEW, OLD, advanced(NEW), advanced(OLD))


def test_the_menu_of_grub_mkconfig():
    entries = menu(MENU)
    assert [(each.version, "recovery" in each.id, each.id.count(">")) for each in entries] == [
        (NEW, False, 0), (NEW, False, 1), (NEW, True, 1), (OLD, False, 1), (OLD, True, 1),
    ]  # fmt: skip
    assert entries[0] == MenuEntry(f"gnulinux-simple-{UUID}", "Debian GNU/Linux", f"/boot/vmlinuz-{NEW}")


@pytest.mark.parametrize(
    ("version", "expected"), [(OLD, advanced(OLD)), (NEW, advanced(NEW)), ("6.1.0-1-amd64", None), ("6.1", None)]
)
def test_the_entry_that_names_the_kernel_is_taken(version, expected):
    found = entry_of(menu(MENU), version)
    assert (found.id if found else None) == expected


def test_a_kernel_that_only_the_top_of_the_menu_starts_is_found_there():
    text = "menuentry 'X' {\n\tlinux /boot/vmlinuz-5 root=x\n}\n"
    assert entry_of(menu(text), "5") == MenuEntry("X", "X", "/boot/vmlinuz-5")


@pytest.mark.parametrize("text", ["", "menuentry {", "menuentry 'a {\n}\n}\n}", "}\n" * 3, "{\n{\n"])
def test_a_damaged_menu_has_no_entries_worth_a_crash(text):
    assert entry_of(menu(text), OLD) is None


@pytest.mark.parametrize(
    ("text", "running", "new", "commands", "pending", "fault"),
    [
        (MENU, OLD, NEW, (("grub-set-default", advanced(OLD)), ("grub-reboot", advanced(NEW))), PENDING, ""),
        (MENU, NEW, NEW, (), None, ""),
        (MENU, OLD, "9.9", (), None, "kernel 9.9 is not in the boot menu"),
        (MENU, "5.10", NEW, (), None, "the running kernel 5.10 is not in the boot menu"),
        (MENU.replace("saved_entry", "other"), OLD, NEW, (), PENDING, "GRUB_DEFAULT=saved"),
    ],
    ids=["new", "same", "absent", "running absent", "no saved default"],
)
def test_a_new_kernel_starts_once(text, running, new, commands, pending, fault):
    change = switch(text, running, new)
    assert (change.commands, change.pending) == (commands, pending)
    assert fault in change.fault and bool(fault) == bool(change.fault)


@pytest.mark.parametrize(
    ("pending", "running", "expected"),
    [
        (None, OLD, Verdict("", False, "")),
        (PENDING, NEW, Verdict(advanced(NEW), True, "")),
        (PENDING, OLD, Verdict("", False, f"the node came up with kernel {OLD} again: {NEW} did not start, or was not tried")),  # noqa: E501
        (PENDING, "7", Verdict("", False, f"the node runs kernel 7, neither {OLD} nor {NEW}")),
    ],
)  # fmt: skip
def test_only_the_kernel_on_trial_is_promoted(pending, running, expected):
    assert judge(pending, running) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(format_pending(PENDING), PENDING), ("", None), ("[]", None), ("{}", None), ('{"new": 1}', None), ("\x00", None)],
)
def test_what_is_remembered(text, expected):
    assert parse_pending(text) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("boot/vmlinuz-6.1.0-13-amd64", True), ("boot/initrd.img-6.1.0-13-amd64", True),
        ("boot/System.map-6.1.0-13-amd64", True),
        ("boot/initramfs-6.1.0-13-amd64.img", True), ("boot/.vmlinuz-6.1.0-13-amd64.hmac", True),
        ("boot/loader/entries/0123-6.1.0-13-amd64.conf", True), ("usr/lib/modules/6.1.0-13-amd64", True),
        ("lib/modules/6.1.0-13-amd64/kernel/x.ko", True), ("boot/vmlinuz-6.1.0-13-amd64-rt", False),
        ("boot/vmlinuz-6.1.0-130", False), ("usr/lib/modules/6.1.0-13-amd64-rt/x", False),
        ("etc/x-6.1.0-13-amd64", False),
        ("boot/grub/x-6.1.0-13-amd64", False),
    ],
)  # fmt: skip
def test_what_belongs_to_a_kernel(path, expected):
    assert belongs(path.encode(), OLD) is expected


@pytest.mark.parametrize(
    ("running", "pending", "expected"), [("", None, ()), (OLD, None, (OLD,)), (OLD, PENDING, (OLD, NEW))]
)
def test_which_kernels_no_update_deletes(running, pending, expected):
    assert held(running, pending) == expected


MODULE = b"usr/lib/modules/6.6/kernel/fs/ext4.ko"


@pytest.mark.parametrize(
    ("planned", "running", "changed", "expected"),
    [
        (["6.6", "6.1"], "6.1", [MODULE], "6.6"),
        (["6.6", "6.1"], "6.1", [b"boot/vmlinuz-6.6"], "6.6"),
        (["6.6", "6.1"], "6.1", [b"etc/motd"], ""),  # started on purpose
        (["6.6"], "6.6", [MODULE], ""),
        (["6.1"], "6.6", [b"etc/motd"], "6.1"),  # back to a version that never had the running one
        ([], "6.6", [MODULE], ""),
        (["6.6"], "", [MODULE], ""),  # not the tree that runs
    ],
)
def test_which_kernel_starts_next(planned, running, changed, expected):
    assert to_try(planned, running, changed) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (MODULE, b"usr/lib/modules/6.6"),
        (b"lib/modules/6.1-amd64/modules.dep", b"lib/modules/6.1-amd64"),
        (b"lib/modules/6.1", b"lib/modules/6.1"),
        (b"lib/modules-load.d/x", b""),
        (b"etc/motd", b""),
    ],
)
def test_whose_modules_a_path_is_among(path, expected):
    assert owner(path) == expected
