"""PURE: the machine that reads a stranger's disk: our ramdisk, the disk, one port to the host, no network.

A filesystem that somebody else made is input for a kernel. It is given to one that has nothing to lose.
"""

import json

from attrs import frozen

from imaged.model.appliance import MODE, MODE_WORD, PARTITION_WORD, PORT, SOURCE
from imaged.planning.disk_format import DiskImage
from imaged.qemu.options import Accel, processor, quoted

_MEMORY = 1024  # MiB; the ramdisk unpacks to a sixth of it
# panic=-1: then the machine ends, and with it the wait for it. Nothing in it is to be kept from anything else in it.
_KERNEL = "rdinit=/sbin/imaged-init console=ttyS0 panic=-1 quiet mitigations=off"


@frozen
class ApplianceFiles:
    """Paths on the host: what boots, the disk to read, where its journals are replayed to, and the port's socket."""

    kernel: str
    ramdisk: str
    disk: str
    overlay: str
    socket: str


def argv(arch: str, accel: Accel, files: ApplianceFiles, image: DiskImage, partition: str) -> tuple[str, ...]:
    """The whole command. ``partition`` is empty or one word; the console is its standard output."""
    words = f"{_KERNEL} {MODE_WORD}={MODE}" + (f" {PARTITION_WORD}={partition}" if partition else "")
    return (
        # A QEMU that a disk image has talked into something starts no programs.
        f"qemu-system-{arch}", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-vga", "none",
        *_machine(arch, accel),
        # Emulated processors wait for each other a lot: reading files takes one of them a fifth of the time of two.
        "-smp", "1" if accel is Accel.TCG else "2", "-m", str(_MEMORY),
        "-kernel", files.kernel, "-initrd", files.ramdisk, "-append", _console(arch, words),
        "-serial", "stdio",
        "-device", "virtio-rng-pci",
        *_disk(files, image),
        "-chardev", f"socket,id=export,path={quoted(files.socket)}",
        "-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=export,name={PORT}",
    )  # fmt: skip


def _machine(arch: str, accel: Accel) -> tuple[str, ...]:
    if arch == "x86_64":
        return "-machine", "q35,graphics=off", *processor(accel)
    cpu = ("-accel", "kvm", "-cpu", "host") if accel is Accel.KVM else ("-accel", "tcg,thread=multi", "-cpu", "max")
    return "-machine", "virt,gic-version=max", *cpu


def _console(arch: str, words: str) -> str:
    return words if arch == "x86_64" else words.replace("console=ttyS0", "console=ttyAMA0")


def _disk(files: ApplianceFiles, image: DiskImage) -> tuple[str, ...]:
    """The image itself is never written. What the guest writes (a journal that it replays) goes to the overlay.

    The format is ours to say, and ``backing`` is null: no file is opened because the image names it.
    """
    source: dict[str, object] = {
        "driver": image.format.value, "node-name": "source", "read-only": True,
        "file": {"driver": "file", "filename": files.disk},
    }  # fmt: skip
    if image.format.value != "raw":
        source["backing"] = None
    overlay = {
        "driver": "qcow2", "node-name": "overlay", "file": {"driver": "file", "filename": files.overlay},
        "backing": "source", "cache": {"direct": False, "no-flush": True},
    }  # fmt: skip
    return (
        "-blockdev", json.dumps(source), "-blockdev", json.dumps(overlay),
        "-device", f"virtio-blk-pci,drive=overlay,serial={SOURCE}",
    )  # fmt: skip


def overlay_argv(path: str, image: DiskImage) -> tuple[str, ...]:
    """An empty qcow2 of the image's size. That it lies over another is told to QEMU alone."""
    return ("qemu-img", "create", "-q", "-f", "qcow2", path, str(image.size))
