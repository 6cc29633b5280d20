"""Which paths of the node an install makes its own: what an update must not take for the image's, told from the plan.

Files that steps write are named by them; what programs of the image write is known by program.
"""

from collections.abc import Iterable, Iterator

from imaged.model.plan import InstallPlan, KeepSecret, MakeLink, MakeSwapFile, RemovePath, RunInTarget, Step, WriteFile

# By program and, where it matters, an argument: patterns as in model.update.Protected.
_WRITES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ssh-keygen", "-A", ("/etc/ssh/ssh_host_*",)),
    ("update-grub", "", ("/boot/grub/grub.cfg",)),
    ("grub-install", "", ("/boot/grub/",)),
    ("grub2-install", "", ("/boot/grub2/",)),
    ("grub2-editenv", "", ("/boot/grub2/grubenv",)),
    ("mkinitcpio", "", ("/boot/initramfs-*",)),
    ("debconf-set-selections", "", ("/var/cache/debconf/",)),
    ("update-extlinux", "", ("/boot/extlinux.conf",)),
    ("u-boot-update", "", ("/boot/extlinux/extlinux.conf",)),
    ("setfiles", "", ()),
    ("findmnt", "", ()),
)
_ON_ESP = ("--efi-directory=", "--esp-path=")


def touched(plan: InstallPlan) -> tuple[str, ...]:
    """Sorted paths and patterns, each once; a pattern that ends with ``/`` is all that is below it."""
    return touched_by(step for phase in plan.phases for step in phase.steps)


def touched_by(steps: Iterable[Step]) -> tuple[str, ...]:
    """The same of any steps."""
    return tuple(sorted({path for step in steps for path in _paths(step)}))


def _paths(step: Step) -> Iterator[str]:
    match step:
        case WriteFile(path=path) | RemovePath(path=path) | MakeLink(path=path) | KeepSecret(path=path):
            yield path
        case MakeSwapFile(path=path):
            yield path
        case RunInTarget(argv=argv):
            yield from _written_by(argv)
        case _:
            pass


def _written_by(argv: tuple[str, ...]) -> Iterator[str]:
    for program, argument, paths in _WRITES:
        if argv[0] == program and (not argument or argument in argv):
            yield from paths
    yield from (f"{word.partition('=')[2]}/" for word in argv if word.startswith(_ON_ESP))
    match argv:
        case ("cp", *_, str(to)) | ("mkdir", "-p", str(to)) if to.startswith("/"):
            yield to
        case ("grub-mkconfig" | "grub2-mkconfig", "-o", str(to)):
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
