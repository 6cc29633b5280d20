"""Which paths of the node an install makes its own: what an update must not take for the image's, told from the steps.

Files that steps write are named by them; what programs of the image write is known by program. This is the one
definition: the list that node and server keep, and what an update leaves alone, are both made of it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import dropwhile

from attrs import frozen

from imaged.model.codec import to_json
from imaged.model.plan import (
    CopyFile,
    InstallPlan,
    KeepSecret,
    MakeCrypt,
    MakeLink,
    MakeSwapFile,
    MoveFile,
    OpenCrypt,
    RemovePath,
    RestoreIdentity,
    RunInTarget,
    Step,
    WriteFile,
)
from imaged.model.stack import Unlock
from imaged.model.system import System
from imaged.model.uefi import InstallGrub
from imaged.planning.fixups.boot import PASSING
from imaged.planning.fixups.stack import KEYS

RECORD = "/var/lib/imaged/fixups.json"

# By program and, where it matters, an argument: patterns as in model.update.Protected.
_HOST_KEYS = "/etc/ssh/ssh_host_*"
_WRITES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ssh-keygen", "-A", (_HOST_KEYS,)),
    ("grub-install", "", ("/boot/grub/",)),
    ("grub2-install", "", ("/boot/grub2/",)),
    ("grub2-editenv", "", ("/boot/grub2/grubenv",)),
    ("mkinitcpio", "", ("/boot/initramfs-*",)),
    ("debconf-set-selections", "", ("/var/cache/debconf/",)),
    ("locale-gen", "", ("/usr/lib/locale/locale-archive",)),
    ("update-extlinux", "", ("/boot/extlinux.conf",)),
    ("u-boot-update", "", ("/boot/extlinux/extlinux.conf",)),
    ("setfiles", "", ()),
    ("findmnt", "", ()),
)


@frozen
class Touch:
    """One path or pattern and what was done there: ``written``, ``removed``, ``linked``, or the program that wrote it.

    ``sha256`` is of what was written, where the plan holds that.
    """

    path: str
    action: str
    sha256: str = ""
    reason: str = ""


def touches(steps: Iterable[Step]) -> tuple[Touch, ...]:
    """In the order of their paths, each path once: what came last is what is there now."""
    found = {each.path: each for step in steps for each in _touches(step) if not each.path.endswith(PASSING)}
    return tuple(found[path] for path in sorted(found))


def touched(plan: InstallPlan) -> tuple[str, ...]:
    """Sorted paths and patterns, each once; a pattern that ends with ``/`` is all that is below it."""
    return touched_by(step for phase in plan.phases for step in phase.steps)


def touched_by(steps: Iterable[Step]) -> tuple[str, ...]:
    """The same of any steps."""
    return tuple(each.path for each in touches(steps))


def record(steps: Iterable[Step]) -> WriteFile:
    """The step that leaves the list on the node: JSON, an entry in each line."""
    lines = ",\n".join(to_json(each) for each in touches(steps) if each.path != RECORD)
    return WriteFile(RECORD, f"[\n{lines}\n]\n", "0600", "which files are the node's own, and why")


def recorded(steps: Iterable[Step]) -> str:
    """What ``record`` put among these steps; empty where it is not one of them."""
    return next((step.content for step in steps if isinstance(step, WriteFile) and step.path == RECORD), "")


def before_fixups(system: System) -> tuple[Step, ...]:
    """What an install makes in the tree before any fixup, told from its disks: swap files and files with keys."""
    swaps = (MakeSwapFile(each.device, 0, each.uuid) for each in system.swaps if each.file)
    with_files = (each for each in system.crypts if Unlock.KEYFILE in each.unlock)
    keys = (OpenCrypt(each.device, each.name, each.uuid, f"{KEYS}/{each.name}") for each in with_files)
    return (*swaps, *keys)


def _touches(step: Step) -> Iterator[Touch]:
    match step:
        case WriteFile(path=path, content=content, reason=reason):
            digest = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
            yield Touch(path, "written", digest, reason)
        case CopyFile(path=path, reason=reason):
            yield Touch(path, "written", reason=reason)
        case MoveFile(source=source, path=path, reason=reason):
            yield Touch(source, "removed", reason=reason)
            yield Touch(path, "written", reason=reason)
        case InstallGrub(esp=esp, argv=argv, reason=reason):
            yield from (Touch(path, argv[0], reason=reason) for path in (f"{esp}/EFI/", *_written_by(argv)))
        case RemovePath(path=path, reason=reason):
            yield Touch(path, "removed", reason=reason)
        case MakeLink(path=path, reason=reason):
            yield Touch(path, "linked", reason=reason)
        case KeepSecret(path=path):
            yield Touch(path, "written", reason="by which the node proves itself")
        case MakeSwapFile(path=path):
            yield Touch(path, "written", reason="swap")
        case MakeCrypt(keyfile=path) | OpenCrypt(keyfile=path) if path:
            yield Touch(path, "written", reason="the key of an encrypted device")
        case RestoreIdentity():
            yield Touch(_HOST_KEYS, "written", reason="the node's own, as they were")
        case RunInTarget(argv=argv, reason=reason):
            yield from (Touch(path, argv[0], reason=reason) for path in _written_by(argv))
        case _:
            pass


def _written_by(argv: tuple[str, ...]) -> Iterator[str]:
    if argv[0] == "env":
        argv = tuple(dropwhile(lambda word: "=" in word, argv[1:]))
    for program, argument, paths in _WRITES:
        if argv[0] == program and (not argument or argument in argv):
            yield from paths
    for esp in (word.partition("=")[2] for word in argv if word.startswith("--esp-path=")):
        yield from (f"{esp}/EFI/", f"{esp}/loader/")  # kernels beside them are the image's, where this is /boot
    match argv:
        case ("sed", "-i", *_, str(to)) if to.startswith("/"):
            yield to
        case ("mkdir", *words):
            yield from (word for word in words if word.startswith("/"))
        case ("update-grub" | "grub-mkconfig" | "grub2-mkconfig", "-o", str(to)):
            yield to
        case ("dracut", *_, str(to)) if to.startswith("/"):
            yield to
        case ("mkinitfs", "-o", str(to), _):
            yield to
        case ("update-initramfs", _, "-k", str(version)):
            yield f"/boot/initrd.img-{version}"
        case ("kernel-install", "add", *_):
            yield from ("/boot/loader/entries/", "/boot/efi/", "/efi/")
        case _:
            pass
