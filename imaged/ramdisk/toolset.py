"""What the ramdisk's programs come from: the toolset tree's packages, and dracut run in it."""

import shutil
from importlib import resources
from pathlib import Path

from imaged.ramdisk.enter import Bind, run_inside
from imaged.ramdisk.kernel import KernelFiles
from imaged.ramdisk.trees import TreeRecipe, digest

PACKAGES = (
    "dracut-core", "cpio", "zstd",  # builds the ramdisk
    "udev", "kmod", "busybox", "mount", "util-linux", "iproute2",
    "python3", "python3-parted", "python3-pyudev", "rsync",
    "fdisk", "gdisk", "e2fsprogs", "dosfstools", "xfsprogs", "btrfs-progs", "f2fs-tools",
    "mdadm", "lvm2", "cryptsetup-bin",
    # systemd for systemd-cryptenroll alone; it opens the libraries of the TPM by name, so nothing depends on them
    "systemd", "libtss2-esys-3.0.2-0", "libtss2-mu0", "libtss2-rc0", "libtss2-tcti-device0",
    "efibootmgr", "kexec-tools", "dropbear-bin", "openssh-sftp-server",
)  # fmt: skip
_MODULE_FILES = ("module-setup.sh", "imaged-init.sh", "udhcpc.sh")
_AT_MODULE = "usr/lib/dracut/modules.d/90imaged"
_AT_OUTPUT = "mnt/output"


def recipe(mirror: str = "", arch: str = "") -> TreeRecipe:
    """The toolset."""
    return TreeRecipe("toolset", PACKAGES, installed=True, mirror=mirror, arch=arch)


def module_files() -> dict[str, bytes]:
    """Our dracut module: file name to contents."""
    here = resources.files("imaged.ramdisk") / "dracut" / "90imaged"
    return {name: (here / name).read_bytes() for name in _MODULE_FILES}


def base_key(toolset: TreeRecipe, kernel: KernelFiles, module: dict[str, bytes]) -> str:
    """Name in the cache of the ramdisk without the agent."""
    return "base-" + digest(
        toolset.key,
        kernel.identity(),
        kernel.compression(),
        *(part for name in sorted(module) for part in (name, module[name])),
    )


def dracut_argv(version: str, output: str) -> tuple[str, ...]:
    """dracut(8): our module and nothing else, for any machine, uncompressed, the same bytes for the same input."""
    return (
        "dracut", "--force", "--quiet", "--kver", version, "--modules", "imaged",
        "--no-hostonly", "--no-hostonly-cmdline", "--no-early-microcode", "--nostrip", "--no-compress",
        "--reproducible", "--conf", "/dev/null", "--confdir", "/mnt", "--tmpdir", f"/{_AT_OUTPUT}", output,
    )  # fmt: skip


def compress_argv(how: str, path: str) -> tuple[str, ...]:
    """zstd level 10 is the knee: 15 saves 1 %, xz a fifth but unpacks several times slower."""
    if how == "zstd":
        return ("zstd", "--quiet", "--force", "-10", "-T0", path, "-o", f"{path}.packed")
    return ("sh", "-c", 'gzip -n -9 < "$1" > "$1.packed"', "gzip", path)


def build_base(toolset: Path, kernel: KernelFiles, module: dict[str, bytes], target: Path) -> None:
    """Leave ``base.img`` (packed, without the agent) and ``unpacked`` (its size in bytes, text) in ``target``.

    Raises CommandFailed with dracut's last words.
    """
    module_dir, output = target / "module", target / "output"
    module_dir.mkdir()
    output.mkdir()
    for name, content in module.items():
        (module_dir / name).write_bytes(content)
        (module_dir / name).chmod(0o755)  # dracut skips a module that is not executable; wheels lose that bit
    binds = [
        Bind(module_dir, _AT_MODULE), Bind(output, _AT_OUTPUT, writable=True),
        Bind(kernel.modules.parent, "usr/lib/modules"),
        *((Bind(kernel.firmware, "usr/lib/firmware"),) if kernel.firmware else ()),
    ]  # fmt: skip
    base = f"/{_AT_OUTPUT}/base.cpio"
    run_inside(toolset, dracut_argv(kernel.version, base), tuple(binds))
    run_inside(toolset, compress_argv(kernel.compression(), base), tuple(binds))
    (target / "unpacked").write_text(str((output / "base.cpio").stat().st_size))
    (output / "base.cpio.packed").rename(target / "base.img")
    shutil.rmtree(output)
    shutil.rmtree(module_dir)
