"""Which kernel is meant, and finding it in trees of several distributions."""

from pathlib import Path

import pytest

from imaged.model.errors import BadInput, NotFound
from imaged.ramdisk.kernel import KernelChoice, Source, best_compression, find_kernel, version_key

CHOICES = [
    ("debian", KernelChoice(Source.DEBIAN, "linux-image-amd64")),
    ("debian:linux-image-cloud-amd64", KernelChoice(Source.DEBIAN, "linux-image-cloud-amd64")),
    ("host", KernelChoice(Source.HOST)),
    ("image:compute", KernelChoice(Source.IMAGE, "compute@stable")),
    ("image:compute@3", KernelChoice(Source.IMAGE, "compute@3")),
    ("./linux-image.deb", KernelChoice(Source.DEB, "./linux-image.deb")),
    ("/srv/trees/rocky", KernelChoice(Source.TREE, "/srv/trees/rocky")),
]


@pytest.mark.parametrize(("text", "expected"), CHOICES, ids=[text for text, _ in CHOICES])
def test_choices(text: str, expected: KernelChoice) -> None:
    assert KernelChoice.parse(text, arch="x86_64") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6.1.0",
        "debian:",
        "debian:--option",
        "debian:Linux Image",
        "host:x",
        "image",
        "image:",
        "image:../etc",
        "\0",
    ],
)
def test_refused_choices(text: str) -> None:
    with pytest.raises(BadInput):
        KernelChoice.parse(text, arch="x86_64")


def test_debian_has_a_kernel_for_each_architecture_that_boots() -> None:
    assert KernelChoice.parse("debian", arch="aarch64").name == "linux-image-arm64"
    with pytest.raises(BadInput, match="package name"):
        KernelChoice.parse("debian", arch="m68k")


def test_firmware_is_another_tree() -> None:
    choice = KernelChoice(Source.DEBIAN, "linux-image-amd64")
    assert choice.recipe().key != choice.recipe(firmware=True).key
    assert "non-free-firmware" not in choice.recipe().components


@pytest.mark.parametrize(
    "rising",
    [
        ("6.1.0-9-amd64", "6.1.0-56-amd64", "6.2-amd64", "6.12.1-amd64"),
        ("4.18.0-553.el8_10.x86_64", "5.14.0-427.el9.x86_64"),
        ("6.2-rc1", "6.2-rc2", "6.2", "6.2.1"),
    ],
)
def test_versions_sort_as_people_count(rising: tuple[str, ...]) -> None:
    falling = rising[::-1]
    assert sorted(falling, key=version_key) == list(rising)


@pytest.mark.parametrize(
    ("version", "config", "expected"),
    [
        ("6.1.0-56-amd64", "CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n", "zstd"),
        ("6.1.0-56-amd64", "CONFIG_RD_GZIP=y\n# CONFIG_RD_ZSTD is not set\n", "gzip"),
        ("5.10.0-8", "", "zstd"),
        ("5.9", "", "zstd"),
        ("4.18.0-553.el8_10.x86_64", "", "gzip"),
    ],
)
def test_compression_is_what_the_kernel_can_unpack(version: str, config: str, expected: str) -> None:
    assert best_compression(version, config) == expected


def plant(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


FOUND = {
    "debian": (("boot/vmlinuz-6.1.0-56", "lib/modules/6.1.0-56/modules.dep"), "6.1.0-56", "boot/vmlinuz-6.1.0-56"),
    "newest": (
        ("boot/vmlinuz-6.1.0-9", "lib/modules/6.1.0-9/modules.dep",
         "boot/vmlinuz-6.1.0-56", "lib/modules/6.1.0-56/modules.dep"),
        "6.1.0-56", "boot/vmlinuz-6.1.0-56",
    ),
    "newest is not whole": (
        ("boot/vmlinuz-6.1.0-9", "lib/modules/6.1.0-9/modules.dep", "lib/modules/6.1.0-56/modules.dep"),
        "6.1.0-9", "boot/vmlinuz-6.1.0-9",
    ),
    "image beside modules": (
        ("lib/modules/5.14.0-427.el9.x86_64/modules.dep", "lib/modules/5.14.0-427.el9.x86_64/vmlinuz"),
        "5.14.0-427.el9.x86_64", "lib/modules/5.14.0-427.el9.x86_64/vmlinuz",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_finding(tmp_path: Path, case: str) -> None:
    files, version, image = FOUND[case]
    found = find_kernel(plant(tmp_path, *files))
    assert (found.version, found.image) == (version, tmp_path / image)


MISSING = {
    "nothing": ((), "", "no kernel modules"),
    "only a kernel": (("boot/vmlinuz-6.1.0-56",), "", "no kernel modules"),
    "only modules": (("lib/modules/6.1.0-56/modules.dep",), "", "no kernel for the modules of 6.1.0-56"),
    "no dependencies": (("boot/vmlinuz-6.1", "lib/modules/6.1/kernel/x.ko"), "", "no list of dependencies"),
    "another version": (("boot/vmlinuz-6.1", "lib/modules/6.1/modules.dep"), "6.18", "no modules of kernel 6.18"),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_said(tmp_path: Path, case: str) -> None:
    files, version, said = MISSING[case]
    with pytest.raises(NotFound, match=said):
        find_kernel(plant(tmp_path, *files), version)


def test_identity_changes_with_kernel_modules_and_firmware(tmp_path: Path) -> None:
    plant(tmp_path, "boot/vmlinuz-6.1", "lib/modules/6.1/modules.dep", "lib/firmware/bnx2.fw")
    before = find_kernel(tmp_path).identity()
    assert find_kernel(tmp_path).identity() == before
    seen = {before}
    for name in ("boot/vmlinuz-6.1", "lib/modules/6.1/modules.dep", "lib/firmware/bnx2.fw"):
        (tmp_path / name).write_text(f"changed {name}")
        seen.add(find_kernel(tmp_path).identity())
    assert len(seen) == 4
