"""The update of one running node as a plan: version, disks as planned, and what lies over the image in; steps out.

The fixups are those of the install, run again on the same disks; each program among them only when something it reads
has changed. Pure.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

from imaged.model.codec import to_json
from imaged.model.errors import CannotPlan
from imaged.model.hardware import Firmware, Inventory
from imaged.model.image import Kernel, Version
from imaged.model.node import Node
from imaged.model.plan import CheckFile, MakeLink, MoveFile, RemovePath, RunInTarget, Step, WriteFile
from imaged.model.system import System
from imaged.model.uefi import InstallGrub, MirrorEsp
from imaged.model.update import Guard, Protected, Script, Triggered, UpdateKernel, UpdatePlan, UpdateStep
from imaged.planning.fixups.boot import remember_install_disk
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.identity import MERGED
from imaged.planning.fixups.initramfs import initramfs
from imaged.planning.fixups.loader import boot_loader
from imaged.planning.fixups.order import BOOTLOADER, FIXUPS, UPDATE_FIXUPS, apply
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import initrd_of
from imaged.planning.install import Site, target_of
from imaged.planning.platforms import EFI, chains, efis, on_esp, platforms
from imaged.planning.protect import STATIC
from imaged.planning.rsync_filter import takes
from imaged.planning.touched import before_fixups, record, touches

FORMAT = 1  # goes up when the same facts make another plan: every node then asks for it once
PHASES = ("compare", "fetch", "apply", "fixups", "bootloader", "scripts", "update")

_GRUB = ("/usr/lib/grub/{0}/", "/usr/lib/grub2/{0}/", "/usr/share/grub2/{0}/")
_SHIM = (
    "/usr/lib/grub/x86_64-efi-signed/", "/usr/lib/grub/arm64-efi-signed/", "/usr/lib/shim/", "/usr/share/efi/",
    "/usr/lib/systemd/boot/efi/",
)  # fmt: skip
_MENU = (
    "/boot/vmlinu[xz]-*", "/boot/Image-*", "/boot/init*", "/etc/default/grub", "/etc/default/grub.d/", "/etc/grub.d/",
    "/etc/os-release", "/usr/lib/os-release", "/usr/sbin/grub-mkconfig", "/usr/share/grub/",
)  # fmt: skip
_INITRAMFS = (
    "/etc/initramfs-tools/", "/usr/share/initramfs-tools/", "/etc/dracut.conf", "/etc/dracut.conf.d/",
    "/usr/lib/dracut/", "/etc/modprobe.d/", "/usr/lib/modprobe.d/", "/lib/modprobe.d/", "/etc/modules",
    "/etc/modules-load.d/", "/etc/crypttab", "/etc/mdadm/", "/etc/lvm/lvm.conf", "/lib/firmware/", "/usr/lib/firmware/",
)  # fmt: skip
_WORD = re.compile(r"\d+|[a-zA-Z]+")


@frozen
class Layers:
    """What lies over the image for one node: overrides as mtree(5) text, paths left alone, scripts in their order.

    ``synced`` are files that others keep (``planning.syncfiles``): fixups that would write them are left out.
    """

    overrides: str = ""
    protect: tuple[Protected, ...] = ()
    scripts: tuple[Script, ...] = ()
    guard: Guard = Guard()
    synced: tuple[str, ...] = ()


def plan_update(
    node: Node, version: Version, system: System, inventory: Inventory, site: Site, layers: Layers, rsync_port: int
) -> UpdatePlan:
    """Everything that brings ``node`` into step with ``version``. Raises CannotPlan for an image that cannot run there.

    ``system`` and ``inventory`` are as they were at the node's install.
    """
    _check(version, system, inventory)
    target = target_of(node, version, system, inventory, site)
    own = (*before_fixups(system), *apply(FIXUPS, target), *apply(BOOTLOADER, _fitting(target)))
    fixups, promises = (*_fixups(target, layers.synced), Triggered(record(own))), checks(target)
    plan = UpdatePlan(
        node=node.name,
        image=version.ref,
        serial="",
        manifest=f"/v1/manifest/{version.image}/{version.number}",
        manifest_sha256=version.manifest_sha256,
        entries=version.entries,
        bytes=version.bytes,
        rsync_port=rsync_port,
        overrides=layers.overrides,
        protect=(*layers.protect, *_own(target, own, layers.protect, fixups)),
        merge=MERGED,
        loaders=_loaders(target, layers.protect),
        fixups=(*fixups, *_checked(promises, boot=False)),
        bootloader=(*_bootloader(target), *_checked(promises, boot=True)),
        kernels=tuple(
            UpdateKernel(each.version, each.image, initrd_of(each, target.facts))
            for each in newest_first(version.facts.kernels)
        ),
        scripts=layers.scripts,
        variables=_variables(target, version),
        sparse=version.sparse,
        guard=evolve(layers.guard, os_id=version.facts.os_id),
    )
    return evolve(plan, serial=serial_of(plan))


def serial_of(plan: UpdatePlan) -> str:
    """Short name of exactly this plan: sha256 of its JSON and our format, 16 hex digits."""
    text = f"{FORMAT} {to_json(evolve(plan, serial=''))}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def newest_first(kernels: Iterable[Kernel]) -> tuple[Kernel, ...]:
    """By version: numbers count as numbers, and 6.12-rc1 is older than 6.12."""
    return tuple(sorted(kernels, key=lambda kernel: _version_key(kernel.version), reverse=True))


def _version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    words = _WORD.findall(version)
    parts = [(2, int(word), "") if word.isdigit() else (-1 if word == "rc" else 1, 0, word) for word in words]
    return (*parts, (0, 0, ""))


def _check(version: Version, system: System, inventory: Inventory) -> None:
    facts = version.facts
    if facts.arch != inventory.arch:
        raise CannotPlan(f"{version.ref} is for {facts.arch}, the node is {inventory.arch}", where=version.image)
    starts_on = platforms(facts)
    efi = EFI[facts.arch][0].platform if facts.arch in EFI else "x86_64-efi"
    platform, present = {
        Firmware.BIOS: ("i386-pc", system.bios),
        Firmware.UEFI: (efi, system.uefi),
    }[inventory.firmware]
    if present and platform not in starts_on:
        raise CannotPlan(
            f"{version.ref} has no boot loader for this node: /usr/lib/grub/{platform} is missing",
            where=version.image,
            hint="The node would not start again. Add GRUB for its firmware to the image.",
        )


def _fixups(target: Target, synced: tuple[str, ...]) -> Iterator[Triggered]:
    """Files are written again where they differ; a path that is written is not removed first."""
    steps = apply(UPDATE_FIXUPS, target)
    written = {step.path for step in steps if isinstance(step, WriteFile)}
    for step in steps:
        if isinstance(step, WriteFile | RemovePath | MakeLink) and step.path in synced:
            continue
        if isinstance(step, UpdateStep) and not (isinstance(step, RemovePath) and step.path in written):
            yield Triggered(step)


def _fitting(target: Target) -> Target:
    """With those ways to start only that this version brings a loader for."""
    facts, system = target.facts, target.system
    bios, uefi = system.bios and "i386-pc" in platforms(facts), system.uefi and bool(efis(facts))
    return evolve(target, system=evolve(system, bios=bios, uefi=uefi))


def _bootloader(target: Target) -> Iterator[Triggered]:
    """What the image brings no more is not run: a version without GRUB for BIOS leaves the old loader alone."""
    fitting = _fitting(target)
    for kernel in newest_first(target.facts.kernels):
        one = evolve(fitting, facts=evolve(target.facts, kernels=(kernel,)))
        yield from _triggered(initramfs(one) if _builds(target) else (), _initramfs_when(kernel))
    yield from _triggered(remember_install_disk(fitting), ("/var/cache/debconf/config.dat", *_paths("i386-pc")))
    for step in boot_loader(_by_place(fitting)):
        yield from _triggered((step,), _loader_when(step))
    if target.system.esp and (copies := tuple(map(target.by_uuid, target.system.esp_mirrors))):
        yield Triggered(MirrorEsp(target.system.esp.mount, copies))


def _loaders(target: Target, said: Iterable[Protected]) -> tuple[str, ...]:
    """Programs that the image brings on its EFI system partition and nowhere else, but for what a list of the site's
    protects."""
    paths = (f"{each.directory}/{name}" for each in chains(target.facts) for name in (each.first, *each.others))
    kept = [f"- {each.pattern}" for each in said if each not in STATIC]
    return tuple(path for path in paths if on_esp(path) and takes(kept, path, directory=False))


def _by_place(target: Target) -> Target:
    """The names that disks had at the install may be those of others by now; udev keeps a name for each place."""
    if "udevadm" not in target.facts.commands:
        return target
    names = tuple(map(target.stable_name, target.system.boot_disks))
    return evolve(target, system=evolve(target.system, boot_disks=names))


def _loader_when(step: Step) -> tuple[str, ...]:
    """Files are compared, so they are always looked at. A kernel that nothing changed stays as it lies on the ESP."""
    if isinstance(step, InstallGrub):
        return (*_paths(_platform(step.argv)), *_SHIM)
    if isinstance(step, RunInTarget):
        if platform := _platform(step.argv):
            return _paths(platform)
        if step.argv[0] == "bootctl":
            return _SHIM
        if "kernel-install" in step.argv:
            version, image, initrd = step.argv[-3:]
            modules = (f"/lib/modules/{version}/", f"/usr/lib/modules/{version}/")
            return (image, initrd, *modules, "/etc/kernel/", "/usr/lib/kernel/")
    elif not isinstance(step, MoveFile):  # of a menu, by whose maker's word alone: it may be half of one otherwise
        return ()
    return (*_MENU, *_paths("i386-pc"), *_paths("x86_64-efi"), *_paths("arm64-efi"))


def _platform(argv: tuple[str, ...]) -> str:
    return next((word.partition("=")[2] for word in argv if word.startswith("--target=")), "")


def _paths(platform: str) -> tuple[str, ...]:
    return tuple(path.format(platform) for path in _GRUB)


def _initramfs_when(kernel: Kernel) -> tuple[str, ...]:
    return (kernel.image, f"/lib/modules/{kernel.version}/", f"/usr/lib/modules/{kernel.version}/", *_INITRAMFS)


def _builds(target: Target) -> bool:
    """Whether the node makes its own initramfs; decided for all kernels of a version at once."""
    return bool(initramfs(target)) and bool(target.facts.kernels)


def _built_here(target: Target) -> Iterator[Protected]:
    if _builds(target):
        for kernel in target.facts.kernels:
            yield Protected(initrd_of(kernel, target.facts), "built on the node")


def _own(
    target: Target, steps: Iterable[Step], said: Iterable[Protected], fixups: Iterable[Triggered]
) -> Iterator[Protected]:
    """What an install makes the node's own, but for what the update's own steps look after and ``said`` covers."""
    after = [each.step.path for each in fixups if isinstance(each.step, WriteFile | RemovePath | MakeLink)]
    built, own = tuple(_built_here(target)), touches(steps)
    exactly = {*(each.pattern for each in said), *(each.pattern for each in built), *after}
    below = tuple(one for one in {*exactly, *(each.path for each in own)} if one.endswith("/"))
    yield from built
    for each in own:
        if each.path not in exactly and not any(each.path != one and each.path.startswith(one) for one in below):
            removed = f"removed at its install: {each.reason}"
            yield Protected(each.path, removed if each.action == "removed" else "the node's own since its install")


def _triggered(steps: Iterable[Step], when: tuple[str, ...]) -> Iterator[Triggered]:
    return (Triggered(step, when) for step in steps if isinstance(step, UpdateStep))


def _checked(promises: tuple[Step, ...], *, boot: bool) -> Iterator[Triggered]:
    """What must hold afterwards. Disks are not looked at: an update cannot have changed them."""
    for step in promises:
        if (
            isinstance(step, UpdateStep)
            and not isinstance(step, MirrorEsp)
            and boot is (isinstance(step, CheckFile) and step.path.startswith("/boot/"))
        ):
            yield Triggered(step)


def _variables(target: Target, version: Version) -> dict[str, str]:
    return {
        "IMAGED_NODE": target.node.name,
        "IMAGED_IMAGE": version.image,
        "IMAGED_VERSION": str(version.number),
        "IMAGED_SERVER": target.server,
    }
