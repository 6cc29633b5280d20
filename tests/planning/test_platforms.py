"""What firmware an image starts under, by the boot loaders in it."""

import pytest

from imaged.model.image import ImageFacts
from imaged.planning.platforms import Chain, Efi, chains, efis, is_signed, platforms

X64 = Efi("x86_64-efi", "x64", "BOOTX64.EFI")
ROCKY = tuple(f"/boot/efi/EFI/rocky/{name}" for name in ("grubx64.efi", "mmx64.efi", "shimx64.efi"))
SUSE = tuple(f"/usr/share/efi/x86_64/{name}" for name in ("MokManager.efi", "grub.efi", "shim.efi"))
STUBS = tuple(f"/usr/lib/systemd/boot/efi/systemd-boot{name}.efi" for name in ("ia32", "x64"))


@pytest.mark.parametrize(
    ("facts", "expected", "signed"),
    [
        (ImageFacts("x86_64"), (), False),
        (ImageFacts("x86_64", grub_platforms=("i386-pc",)), ("i386-pc",), False),
        (ImageFacts("x86_64", grub_platforms=("x86_64-efi",), grub_signed=True), ("x86_64-efi",), True),
        (ImageFacts("x86_64", files=ROCKY), ("x86_64-efi",), True),
        (ImageFacts("x86_64", files=ROCKY[:2]), ("x86_64-efi",), False),
        (ImageFacts("x86_64", files=ROCKY[1:]), (), False),
        (ImageFacts("x86_64", files=ROCKY, commands=("grub-install",)), (), False),
        (ImageFacts("aarch64", files=ROCKY), (), False),
        (ImageFacts("x86_64", files=SUSE), ("x86_64-efi",), True),
        (ImageFacts("x86_64", files=SUSE[1:2]), ("x86_64-efi",), False),
        (ImageFacts("x86_64", files=STUBS, commands=("bootctl",)), ("x86_64-efi",), False),
        (ImageFacts("x86_64", files=STUBS), (), False),
    ],
    ids=["none", "bios", "debian", "rocky", "no shim", "no grub", "grub-install makes it", "other processor", "suse",
         "suse without shim", "systemd-boot", "no bootctl"],
)  # fmt: skip
def test_platforms(facts: ImageFacts, expected: tuple[str, ...], signed: bool) -> None:
    assert (platforms(facts), is_signed(facts)) == (expected, signed)
    assert [each.platform for each in efis(facts)] == [name for name in expected if name.endswith("-efi")]


@pytest.mark.parametrize(
    ("facts", "chain"),
    [
        (ImageFacts("x86_64", files=ROCKY),
         Chain(X64, "/boot/efi/EFI/rocky", "rocky", "shimx64.efi", ("grubx64.efi", "mmx64.efi"))),
        (ImageFacts("x86_64", files=("/boot/efi/EFI/redhat/grubx64.efi",), os_id="rhel"),
         Chain(X64, "/boot/efi/EFI/redhat", "redhat", "grubx64.efi")),
        (ImageFacts("x86_64", files=SUSE, os_id="opensuse-leap"),
         Chain(X64, "/usr/share/efi/x86_64", "opensuse", "shim.efi", ("grub.efi", "MokManager.efi"))),
        (ImageFacts("x86_64", files=SUSE, os_id="sles"),
         Chain(X64, "/usr/share/efi/x86_64", "sles", "shim.efi", ("grub.efi", "MokManager.efi"))),
        (ImageFacts("x86_64", files=(*SUSE, "/boot/efi/EFI/suse/grub.efi")),
         Chain(X64, "/usr/share/efi/x86_64", "suse", "shim.efi", ("grub.efi", "MokManager.efi"))),
    ],
    ids=["rocky", "the directory's name is not the system's", "leap", "sles", "what is on the ESP wins"],
)  # fmt: skip
def test_chains(facts: ImageFacts, chain: Chain) -> None:
    assert chains(facts) == (chain,)
