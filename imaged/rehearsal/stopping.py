"""When a machine has come to an end that nobody will wake it from, told from what it writes on its console. Pure.

The texts are those of Linux (kernel/panic.c, arch/*/mm/fault.c), systemd, sulogin, dracut, initramfs-tools, mkinitcpio,
mkinitfs and GRUB.
"""

import re

from attrs import frozen

_SOON = 2.0  # what follows at once belongs to the story
_LONG = 180.0  # an oops ends one thread of the kernel, which the rest may not need


@frozen
class Sign:
    """``reason`` is one if the machine then says nothing more for ``patience`` seconds."""

    reason: str
    patience: float


_SIGNS = tuple(
    (re.compile(pattern), reason, patience)
    for pattern, reason, patience in (
        (r"Kernel panic - not syncing: (.*)", "kernel panic: {}", _SOON),
        (r"((?:BUG: (?:unable to handle|kernel NULL)|kernel BUG at|Oops: |Internal error: |general protection fault|"
         r"Unable to handle kernel ).*)", "the kernel stopped after an oops: {}", _LONG),
        (r"ALERT! +(.*?) +Dropping to a shell", "the initramfs opened a shell: {}", _SOON),
        (r"^\(initramfs\)|^dracut:/#|^\[rootfs .*\]#", "the initramfs opened a shell", _SOON),
        (r"You are in (?:emergency|rescue) mode|Entering emergency mode|dropped into an emergency shell|"
         r"emergency recovery shell launched|the root account is locked", "it opened its emergency shell", _SOON),
        (r"Entering rescue mode\.\.\.|^grub rescue>", "GRUB waits at its rescue prompt", _SOON),
        (r"^grub>", "GRUB found no menu and waits at its prompt", _SOON),
    )
)  # fmt: skip


def sign(line: str) -> Sign | None:
    """What a line of a console, without control sequences, says of the machine's end."""
    for pattern, reason, patience in _SIGNS:
        if found := pattern.search(line):
            return Sign(reason.format(*found.groups()).strip(), patience)
    return None


def first(known: Sign | None, new: Sign | None) -> Sign | None:
    """Which of two to go by, ``new`` being the later one: what is more final, and of such the cause before the rest."""
    if known is None or new is None:
        return known or new
    return new if new.patience < known.patience else known
