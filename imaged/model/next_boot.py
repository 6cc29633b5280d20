"""What a node's next network boot does, with all that belongs to it."""

import re

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.node import BootAction

# What new nodes may begin with.
AT_FIRST = (BootAction.INSTALL, BootAction.LOCAL, BootAction.RESCUE, BootAction.INVENTORY)
# These end by themselves, or are somebody's for the moment; the others hold until something else is said.
ONE_TIME = frozenset({BootAction.MEMTEST, BootAction.KERNEL, BootAction.IPXE})
MEMTEST = {"bios": "memtest/memtest86+x64.bin", "efi": "memtest/memtest86+x64.efi"}  # below the boot directory
CUSTOM_DIR = "custom"  # below it: kernels and initial ramdisks that somebody named
_STATELESS = "stateless"
# Words of a kernel's command line that neither GRUB nor iPXE takes apart or replaces.
_WORD = re.compile(r"[A-Za-z0-9_.,:=/+@%~^!()-]+")
_SCRIPT_MAGIC = "#!ipxe"


@frozen
class NextBoot:
    """``kernel`` and ``initrds`` are paths below the boot directory, ``append`` goes on the kernel's command line;
    ``script`` is the template of an iPXE script."""

    action: BootAction
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    append: str = ""
    script: str = ""


@frozen
class Booting:
    """``now`` is what the next network boot does; ``after``: what holds from the one behind it on, None: the same."""

    now: NextBoot
    after: NextBoot | None = None

    def __str__(self) -> str:
        word = self.now.action.value
        return f"{word}, then {self.after.action.value}" if self.after else word


def boot_action(text: str) -> BootAction:
    """Raises BadInput, with a word of its own for what there will be."""
    if text == _STATELESS:
        hint = "Nodes are installed on their disks: `imaged boot NODES install`."
        raise BadInput("nodes without disks do not exist yet", where=_STATELESS, hint=hint)
    try:
        return BootAction(text)
    except ValueError:
        known = ", ".join(action.value for action in BootAction)
        raise BadInput(f"{text[:40]!r} is no boot action", hint=f"There are {known}.") from None


def command_line(text: str) -> str:
    """What ``--append`` may hold. Raises BadInput that names the word."""
    for word in text.split():
        if not _WORD.fullmatch(word):
            hint = "Quotes, $, {}, ;, |, & and the like are the boot loader's own."
            raise BadInput(f"{word[:80]!r} would not come through a boot loader", where="append", hint=hint)
    return " ".join(text.split())


def ipxe_script(text: str) -> str:
    """A template of a script. Raises BadInput for what iPXE would not take for one."""
    if not text.startswith(_SCRIPT_MAGIC):
        raise BadInput(f"an iPXE script begins with {_SCRIPT_MAGIC}", where="script")
    if len(text) > 65536:
        raise BadInput("is longer than 64 KiB", where="script")
    return text
