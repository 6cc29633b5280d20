"""What firmware an image can start under, by the boot loaders in it: GRUB, ready files, systemd-boot. Pure."""

import re

from attrs import frozen

from imaged.model.image import ImageFacts


@frozen
class Efi:
    """UEFI for one processor: GRUB's platform, the suffix of shim's and GRUB's files, and the name that firmware loads
    where it has no entry (UEFI 2.10, 3.5.1.1)."""

    platform: str
    suffix: str
    removable: str


# By uname -m. A 64-bit processor may have 32-bit firmware, which loads 32-bit programs only.
EFI = {
    "x86_64": (Efi("x86_64-efi", "x64", "BOOTX64.EFI"), Efi("i386-efi", "ia32", "BOOTIA32.EFI")),
    "i686": (Efi("i386-efi", "ia32", "BOOTIA32.EFI"),),
    "aarch64": (Efi("arm64-efi", "aa64", "BOOTAA64.EFI"),),
}
ESPS = ("/boot/efi", "/efi", "/boot")  # where images mount their EFI system partition
SYSTEMD_BOOT = "/usr/lib/systemd/boot/efi/systemd-boot{0}.efi"
_SUSE = "/usr/share/efi/{0}"
_PRESET = re.compile(r"(?m)^\s*(PRESETS|\w+_uki)=(\([^)]*\)|\S+)")


@frozen
class Chain:
    """Boot programs that the image brings ready, to be copied as they are: their signatures hold.

    ``directory`` holds them in the image, ``vendor`` is the name of their directory below EFI/ on the ESP. ``first`` is
    loaded by the firmware (shim, or GRUB itself where there is none); ``others`` lie beside it.
    """

    efi: Efi
    directory: str
    vendor: str
    first: str
    others: tuple[str, ...] = ()


def unified(facts: ImageFacts) -> tuple[str, ...]:
    """Kernels that are UEFI programs with initramfs and command line in them (UAPI.5): where mkinitcpio's presets make
    them, else where they lie."""
    lying = (path for path in facts.files if "/EFI/Linux/" in path and path.endswith(".efi"))
    return presets(facts) or tuple(lying)


def presets(facts: ImageFacts) -> tuple[str, ...]:
    """Where mkinitcpio makes unified kernels: its presets say it, whatever the node mounts there."""
    made: list[str] = []
    for path, text in sorted(facts.texts.items()):
        if path.startswith("/etc/mkinitcpio.d/"):
            said = dict(_PRESET.findall(text))
            names = said.get("PRESETS", "").strip("()").replace('"', " ").replace("'", " ").split()
            made += [said[f"{name}_uki"].strip("\"'") for name in names if said.get(f"{name}_uki")]
    return tuple(dict.fromkeys(made))


def efis(facts: ImageFacts) -> tuple[Efi, ...]:
    """UEFI platforms of the image's processor that it has a boot loader for, the processor's own first."""
    names = platforms(facts)
    return tuple(each for each in EFI.get(facts.arch, ()) if each.platform in names)


def platforms(facts: ImageFacts) -> tuple[str, ...]:
    """By GRUB's names of platforms: those of its modules, and those whose loader lies ready."""
    found = set(facts.grub_platforms)
    found.update(each.efi.platform for each in chains(facts))
    if "bootctl" in facts.commands:
        known = EFI.get(facts.arch, ())[:1]  # bootctl installs its own processor's loader only
        found.update(each.platform for each in known if SYSTEMD_BOOT.format(each.suffix) in facts.files)
    return tuple(sorted(found))


def is_signed(facts: ImageFacts) -> bool:
    """Whether it starts under Secure Boot: a shim that the firmware trusts and a GRUB that the shim trusts."""
    return facts.grub_signed or any(each.others for each in chains(facts))


def chains(facts: ImageFacts) -> tuple[Chain, ...]:
    """Ready loaders by footprint: SUSE keeps them below /usr/share/efi, Red Hat's family on the ESP itself.

    Where there is a grub-install it makes or copies them itself: what lies on an ESP was made for another disk.
    """
    if "grub-install" in facts.commands:
        return ()
    return tuple(chain for efi in EFI.get(facts.arch, ()) if (chain := _suse(facts, efi) or _on_esp(facts, efi)))


def on_esp(path: str) -> bool:
    """Whether ``path`` lies where images mount their EFI system partition."""
    return path.startswith(tuple(f"{esp}/EFI/" for esp in ESPS))


def _suse(facts: ImageFacts, efi: Efi) -> Chain | None:
    directory = _SUSE.format(facts.arch)
    if efi is not EFI[facts.arch][0] or f"{directory}/grub.efi" not in facts.files:
        return None
    vendor = next((name for name, files in _vendors(facts) if "grub.efi" in files), "")
    vendor = vendor or ("sles" if facts.os_id.startswith("sle") else "opensuse")
    if f"{directory}/shim.efi" not in facts.files:
        return Chain(efi, directory, vendor, "grub.efi")
    beside = tuple(name for name in ("grub.efi", "MokManager.efi") if f"{directory}/{name}" in facts.files)
    return Chain(efi, directory, vendor, "shim.efi", beside)


def _on_esp(facts: ImageFacts, efi: Efi) -> Chain | None:
    grub, shim, keys = (f"{name}{efi.suffix}.efi" for name in ("grub", "shim", "mm"))
    for esp in ESPS:
        for vendor, files in _vendors(facts, (esp,)):
            if grub in files:
                directory = f"{esp}/EFI/{vendor}"
                if shim not in files:
                    return Chain(efi, directory, vendor, grub)
                return Chain(efi, directory, vendor, shim, tuple(name for name in (grub, keys) if name in files))
    return None


def _vendors(facts: ImageFacts, esps: tuple[str, ...] = ESPS) -> list[tuple[str, set[str]]]:
    """Directories below EFI/ with the names in them, but for the one of the removable path."""
    found: dict[str, set[str]] = {}
    for path in facts.files:
        for esp in esps:
            vendor, slash, name = path.removeprefix(f"{esp}/EFI/").partition("/")
            if path.startswith(f"{esp}/EFI/") and slash and vendor.upper() != "BOOT":
                found.setdefault(vendor, set()).add(name)
    return sorted(found.items())
