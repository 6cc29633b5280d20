"""What machines boot: loaders that are there, and ramdisks that fit images, kernels and this program."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from attrs import field, frozen

from imaged.model.boot import LOADERS, SHIMS, Arch
from imaged.planning.doctor.finding import Finding, MakeRamdisk, SetMode, Voice

_SAY = Voice("ramdisk")
_DEFAULT = "debian"
_MACHINES = {"x86_64": (Arch.BIOS, Arch.X86_64), "aarch64": (Arch.ARM64,)}  # uname -m: what its firmwares load


@frozen
class Built:
    """What ``ramdisk.json`` says, and what is now. ``kernel_now``: the newest kernel of where its kernel came from,
    empty: not known. ``agent`` and ``dialect`` are hashes, empty in one of an earlier release."""

    kernel: str
    source: str
    created: str
    agent: str = ""
    dialect: str = ""
    kernel_now: str = ""


@frozen
class Boot:
    """Everything below the boot directory. ``ramdisks`` by architecture, None: none that is whole.

    ``unreadable`` are files that other users may not read, with their modes.
    """

    ramdisks: Mapping[str, Built | None] = field(factory=dict)
    loaders: Collection[str] = ()
    unreadable: Mapping[str, int] = field(factory=dict)


def findings(boot: Boot, needed: Sequence[str], agent: str, dialect: str) -> Iterator[Finding]:
    """``needed`` are the architectures of nodes; ``agent`` and ``dialect`` this program's own."""
    for arch in needed:
        built = boot.ramdisks.get(arch)
        mend = MakeRamdisk(arch, built.source if built else _DEFAULT)
        if built is None:
            yield _SAY.error("there is none that is whole", f"ramdisk {arch}", f"`{mend}`", mend)
        else:
            yield from _built(built, f"ramdisk {arch}", agent, dialect, mend)
        yield from _loaders(arch, boot.loaders, mend)
    for path, mode in boot.unreadable.items():
        what = f"only its owner may read it (mode {mode:04o})"
        yield _SAY.warning(what, path, "The daemon may be another user.", SetMode(path, mode | 0o444))


def _built(built: Built, where: str, agent: str, dialect: str, mend: MakeRamdisk) -> Iterator[Finding]:
    todo = f"`{mend}`"
    if not built.agent:
        yield _SAY.warning("does not say which agent is in it: an earlier release made it", where, todo, mend)
    elif built.dialect != dialect:
        what = "its agent and this server speak differently: installs are refused"
        yield _SAY.error(what, where, todo, mend)
    elif built.agent != agent:
        yield _SAY.warning("its agent is not the one of this program", where, todo, mend)
    elif built.kernel_now and built.kernel_now != built.kernel:
        what = f"has kernel {built.kernel}, {built.source} has {built.kernel_now} by now"
        yield _SAY.warning(what, where, todo, mend)
    else:
        yield _SAY.ok(f"kernel {built.kernel} from {built.source}, made {built.created}", where)


def _loaders(arch: str, there: Collection[str], mend: MakeRamdisk) -> Iterator[Finding]:
    todo = f"`{mend}` fetches it."
    for firmware in _MACHINES.get(arch, ()):
        ipxe, shim = LOADERS.get(firmware), SHIMS.get(firmware)
        names = [name for name in (ipxe, shim) if name]
        if not any(name in there for name in names):
            yield _SAY.error(f"no machine with {firmware.value} firmware can boot", " or ".join(names), todo, mend)
        elif shim and shim not in there:
            yield _SAY.note("is not there: machines with Secure Boot cannot boot", shim, todo)
