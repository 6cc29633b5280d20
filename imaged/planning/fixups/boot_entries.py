"""What the firmware is told: one entry for the installed loader, where the layout wants it in the order."""

from imaged.model.hardware import Firmware
from imaged.model.layout import BootOrder
from imaged.model.plan import Step
from imaged.model.uefi import SetBootEntries
from imaged.planning.fixups.efi import loader_path
from imaged.planning.fixups.loader import Loader, loader
from imaged.planning.fixups.target import Target
from imaged.planning.platforms import Efi, chains, efis

LABEL = "imaged"  # how our own entries are known again at the next install, whatever image that is of


def boot_entries(target: Target) -> tuple[Step, ...]:
    """Nothing where the machine started by BIOS: it has no entries that anybody could set.

    The copies of the ESP get entries too, so that the machine starts with its first disk pulled.
    """
    esp = target.system.esp
    if target.inventory.firmware is not Firmware.UEFI or not target.system.uefi or esp is None:
        return ()
    known = efis(target.facts)
    if not known:
        return ()
    boot = target.system.boot
    return (
        SetBootEntries(
            LABEL,
            _loader(target, known[0]),
            (esp.device, *target.system.esp_mirrors),
            network_first=boot.order is BootOrder.NETWORK_FIRST,
            required=not boot.removable_path,
        ),
    )


def _loader(target: Target, efi: Efi) -> str:
    """grub-install names its directory by the image, and always fills the removable path as we call it."""
    chain = next((each for each in chains(target.facts) if each.efi == efi), None)
    if chain:
        return loader_path(chain)
    if loader(target.facts) is Loader.SYSTEMD_BOOT and not target.system.boot.removable_path:
        return f"/EFI/systemd/systemd-boot{efi.suffix}.efi"
    return f"/EFI/BOOT/{efi.removable}"
