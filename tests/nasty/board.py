"""A mainboard: firmware with variables, as efibootmgr(8) shows them, and a disk with an ESP."""

import os
from pathlib import Path

import pytest

from imaged.model.uefi import SetBootEntries
from installer.nvram import set_boot_entries
from tests.nasty.programs import processes
from tests.nasty.trees import lay

ESP = "11111111-2222-4333-8444-555555555555"
# The firmware of a machine: what efibootmgr(8) prints is in a file, what goes wrong is said by $FAULT; $ESP is the
# partition that the disk has now.
EFIBOOTMGR = """#!/bin/sh
echo "$*" >>$0.log
said() { echo "Could not prepare Boot variable: $1" >&2; exit 5; }
case "$*" in *--verbose*)
  [ "$FAULT" = hidden ] && { echo "EFI variables are not supported on this system." >&2; exit 2; }
  cat $0.nvram; exit;; esac
[ "$FAULT" = read-only ] && said "Read-only file system"
for word; do case $before in --bootnum) sed -i "/^Boot$word/d" $0.nvram;;
  --bootorder) [ "$FAULT" = reorders ] || sed -i "s/^BootOrder.*/BootOrder: $word/" $0.nvram;; esac; before=$word; done
case "$*" in *--create-only*)
  [ "$FAULT" = full ] && said "No space left on device"
  [ "$FAULT" = drops ] || cat >>$0.nvram <<END
Boot0009* imaged\tHD(1,GPT,$ESP,0x800,0x1)/File(\\\\EFI\\\\BOOT\\\\BOOTX64.EFI)
END
  [ "$FAULT" = reorders ] && sed -i 's/^BootOrder: /BootOrder: 0009,/' $0.nvram;;
esac
exit 0
"""
NVRAM = """BootCurrent: 0002
BootOrder: 0001,0002
Boot0001* Windows\tHD(1,GPT,dddddddd-2222-4333-8444-555555555555,0x800,0x1)/File(\\EFI\\MS\\BOOT.EFI)
Boot0002* UEFI PXEv4\tPciRoot(0x0)/Pci(0x3,0x0)/MAC(525400000001,1)/IPv4(0.0.0.00.0.0.0,0,0)
"""


class Board:
    """A mainboard with variables, and one disk with an ESP."""

    def __init__(self, base: Path) -> None:
        self.bin, self.sys = base / "bin", base / "sys"
        lay(base, {"bin/efibootmgr": EFIBOOTMGR, "bin/blkid": '#!/bin/sh\necho "$ESP"\n', "bin/efibootmgr.nvram": NVRAM,
                   "sys/devices/block/vda/vda1/partition": "1\n", "sys/class/block/keep": ""})  # fmt: skip
        for name in ("efibootmgr", "blkid"):
            (self.bin / name).chmod(0o755)
        (self.sys / "class/block/vda1").symlink_to(self.sys / "devices/block/vda/vda1")

    def install(
        self, monkeypatch: pytest.MonkeyPatch, fault: str = "", *, required: bool = False, esp: str = ESP
    ) -> list[str]:
        """What the agent says as it sets the boot entries."""
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("FAULT", fault)
        monkeypatch.setenv("ESP", esp)
        heard: list[str] = []
        step = SetBootEntries("imaged", "/EFI/BOOT/BOOTX64.EFI", ("/dev/vda1",), required=required)
        set_boot_entries(step, processes().run, heard.append, self.sys)
        return heard

    @property
    def nvram(self) -> str:
        return (self.bin / "efibootmgr.nvram").read_text()

    @property
    def writes(self) -> list[str]:
        log = self.bin / "efibootmgr.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if "--verbose" not in line]
