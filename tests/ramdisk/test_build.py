"""Putting a ramdisk together and in its place; the real thing when the packages are in the cache already."""

import gzip
import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from imaged.model.boot import LOADERS, Arch
from imaged.model.errors import CommandFailed, ImagedError, NotFound
from imaged.ramdisk import agent, loaders, toolset
from imaged.ramdisk.build import Order, Result, build, new_directory, read_ramdisk, write_initrd
from imaged.ramdisk.enter import run_inside
from imaged.ramdisk.fetch import fetch_kernel
from imaged.ramdisk.kernel import KernelChoice, KernelFiles, Source
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache

CACHE = Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE)
DEBIAN = KernelChoice.parse("debian", arch="x86_64")
READY = os.geteuid() == 0 and all((CACHE / r.key).is_dir() for r in (toolset.recipe(), DEBIAN.recipe()))
needs_cache = pytest.mark.skipif(not READY, reason="needs root and the packages that `imaged mkramdisk` has fetched")


def silent(_: str) -> None:
    pass


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 1001])
def test_each_layer_begins_where_the_kernel_looks(tmp_path: Path, length: int) -> None:
    base = tmp_path / "base.img"
    base.write_bytes(b"B" * length)
    layer = gzip.compress(b"agent", mtime=0)
    size = write_initrd(base, layer, tmp_path / "initrd.img")
    blob = (tmp_path / "initrd.img").read_bytes()
    start = blob.index(layer)
    assert (start % 4, len(blob) % 4, len(blob)) == (0, 0, size)
    assert blob == b"B" * length + bytes(start - length) + layer + bytes(size - start - len(layer))


FACTS = {
    "arch": "x86_64", "kernel": "6.1", "source": "host", "created": "2026-11-21T00:00:00+00:00", "vmlinuz": 3,
    "initrd": 4, "unpacked": 9, "compression": "zstd", "inputs": "abc",
}  # fmt: skip


@pytest.mark.parametrize(
    ("vmlinuz", "initrd", "facts", "whole"),
    [
        (b"123", b"1234", json.dumps(FACTS), True),
        (b"12", b"1234", json.dumps(FACTS), False),
        (b"123", b"123", json.dumps(FACTS), False),
        (b"123", b"1234", "{", False),
        (b"123", b"1234", json.dumps({**FACTS, "colour": "red"}), False),
    ],
)
def test_a_ramdisk_that_is_not_whole_is_none(
    tmp_path: Path, vmlinuz: bytes, initrd: bytes, facts: str, whole: bool
) -> None:
    (tmp_path / "vmlinuz").write_bytes(vmlinuz)
    (tmp_path / "initrd.img").write_bytes(initrd)
    (tmp_path / "ramdisk.json").write_text(facts)
    assert (read_ramdisk(tmp_path) is not None) is whole
    assert read_ramdisk(tmp_path / "none") is None


def test_a_new_directory_takes_the_place_of_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "ramdisk/x86_64"
    for text in ("1", "2"):
        with new_directory(path) as fresh:
            (fresh / "vmlinuz").write_text(text)
        assert (path / "vmlinuz").read_text() == text
    with pytest.raises(KeyboardInterrupt), new_directory(path) as fresh:
        (fresh / "vmlinuz").write_text("3")
        raise KeyboardInterrupt
    assert (path / "vmlinuz").read_text() == "2"
    assert len(list(path.parent.iterdir())) == 2  # the link and the directory behind it
    assert path.stat().st_mode & 0o777 == 0o755  # the daemon that serves it is not root


def test_a_plain_directory_in_its_place_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ramdisk/x86_64"
    path.mkdir(parents=True)
    (path / "old").touch()
    with new_directory(path) as fresh:
        (fresh / "vmlinuz").touch()
    assert [file.name for file in path.iterdir()] == ["vmlinuz"]


LOADER_FILES = {
    "debian": (("undionly.kpxe", "snponly.efi", "ipxe.efi"), {Arch.BIOS: "undionly.kpxe", Arch.X86_64: "snponly.efi"}),
    "red hat": (
        ("undionly.kpxe", "ipxe-snponly-x86_64.efi", "arm64-efi/snponly.efi"),
        {
            Arch.BIOS: "undionly.kpxe",
            Arch.X86_64: "ipxe-snponly-x86_64.efi",
            Arch.ARM64: "arm64-efi/snponly.efi",
        },
    ),
    "nothing": ((), {}),
}


@pytest.mark.parametrize("case", LOADER_FILES)
def test_loaders_are_found_and_copied_once(tmp_path: Path, case: str) -> None:
    files, expected = LOADER_FILES[case]
    package, boot = tmp_path / "ipxe", tmp_path / "boot"
    for name in files:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    found = loaders.find([tmp_path / "absent", package])
    assert found == {arch: package / name for arch, name in expected.items()}
    served = {LOADERS[arch]: path for arch, path in found.items()}
    assert loaders.install(served, boot) == tuple(boot / name for name in served)
    assert loaders.install(served, boot) == ()
    assert loaders.complete(found) is (case != "nothing")


def test_the_agent_brings_what_it_imports_and_nothing_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "__main__.py").write_text("import imaged.model.codec\n")
    (tmp_path / "node/__init__.py").write_text("")
    files = agent.agent_files(tmp_path)
    assert {"installer/__main__.py", "installer/node/__init__.py", "imaged/__init__.py"} <= set(files)
    assert {"imaged/model/codec.py", "attr/__init__.py", "cattrs/__init__.py", "typing_extensions.py"} <= set(files)
    assert {name.split("/")[1] for name in files if name.startswith("imaged/")} == {"__init__.py", "model"}
    key = agent.files_key(files)
    assert agent.files_key({**files, "installer/__main__.py": b""}) != key


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (KernelChoice(Source.TREE, "/no/such/tree"), "no such directory"),
        (KernelChoice(Source.DEB, "/no/such.deb"), "no such file"),
    ],
)
def test_a_kernel_that_is_not_there(tmp_path: Path, choice: KernelChoice, said: str) -> None:
    with pytest.raises(NotFound, match=said):
        fetch_kernel(choice, Cache(tmp_path), tmp_path, lambda ref: tmp_path, silent, release="")


def test_dracut_argv_names_no_host() -> None:
    argv = toolset.dracut_argv("6.1.0-56-amd64", "/mnt/output/base.cpio")
    assert argv[0] == "dracut"
    assert {"--no-hostonly", "--reproducible", "--no-compress"} <= set(argv)
    assert argv[argv.index("--kver") + 1] == "6.1.0-56-amd64"


def test_base_key_has_every_input(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_text("kernel")
    (tmp_path / "modules.dep").write_text("")
    kernel = KernelFiles("6.1", tmp_path / "vmlinuz", tmp_path)
    module = toolset.module_files()
    key = toolset.base_key(toolset.recipe(), kernel, module)
    others = {
        toolset.base_key(toolset.recipe("http://archive.example/"), kernel, module),
        toolset.base_key(toolset.recipe(), KernelFiles("6.2", tmp_path / "vmlinuz", tmp_path), module),
        toolset.base_key(toolset.recipe(), kernel, {**module, "imaged-init.sh": b""}),
    }
    assert key not in others
    assert len(others) == 3


@pytest.mark.parametrize("shell", ["busybox", "dash"])
@pytest.mark.parametrize("name", ["imaged-init.sh", "udhcpc.sh"])
def test_scripts_of_the_ramdisk_parse(shell: str, name: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    argv = ["busybox", "sh", "-n"] if shell == "busybox" else ["dash", "-n"]
    subprocess.run(argv, input=toolset.module_files()[name], check=True)


# From here on: real packages, real dracut, a real chroot.


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ramdisk")


def order(scratch: Path, text: str) -> Order:
    """A build whose agent says ``text``."""
    package = scratch / "installer"
    package.mkdir(exist_ok=True)
    (package / "__main__.py").write_text(
        "import attr, cattrs, parted, pyudev, imaged.model.codec\n"
        f"pyudev.Context()\nprint({text!r}, parted.version())\n"
    )
    return Order(DEBIAN, "x86_64", package, scratch / "boot")


def carry_out(wanted: Order) -> Result:
    return build(wanted, Cache(CACHE), lambda ref: pytest.fail("no image is asked for"), "2026-11-21T00:00:00", silent)


def unpack(result: Result, target: Path) -> None:
    """Both layers, one over the other, as the kernel does it."""
    blob = (result.path / "initrd.img").read_bytes()
    start = blob.rindex(b"\x1f\x8b\x08")
    base = subprocess.run(["zstd", "-dcq"], input=blob[:start].rstrip(b"\0"), capture_output=True, check=True).stdout
    layer = zlib.decompressobj(31).decompress(blob[start:])
    target.mkdir()
    for archived in (base, layer):
        subprocess.run(["cpio", "-idmu", "--quiet"], input=archived, cwd=target, check=True)


@needs_cache
def test_the_agent_runs_in_the_ramdisk(scratch: Path) -> None:
    result = carry_out(order(scratch, "first"))
    assert result.changed
    assert set(result.loaders) >= {"undionly.kpxe", "snponly.efi", "shimx64.efi"}
    assert 20e6 < result.ramdisk.initrd < 60e6
    tree = scratch / "tree"
    unpack(result, tree)
    for missing in ("dev", "proc", "sys"):
        (tree / missing).mkdir(exist_ok=True)
    said = run_inside(tree, ("env", "PYTHONPATH=/usr/lib/imaged", "python3", "-B", "-m", "installer"))
    assert said.startswith("first ")
    # Nothing is compiled at start: every module has its .pyc, unchecked (PEP 552: flags 0b01).
    compiled = list((tree / "usr/lib/imaged").rglob("*.pyc")) + list((tree / "usr/lib/python3.11/json").rglob("*.pyc"))
    assert len(compiled) > 50
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\x01\0\0\0"}
    assert not list(tree.rglob("libicu*"))
    assert os.access(tree / "sbin/imaged-init", os.X_OK)


@needs_cache
@pytest.mark.parametrize(
    "argv",
    [
        ("rsync", "--version"), ("sfdisk", "--version"), ("sgdisk", "--version"), ("mke2fs", "-V"), ("mkfs.xfs", "-V"),
        ("xfs_repair", "-V"), ("mkfs.btrfs", "--version"), ("mkfs.vfat", "--help"), ("mkswap", "--version"),
        ("wipefs", "--version"), ("blkid", "--version"), ("mdadm", "--version"), ("cryptsetup", "--version"),
        ("lvm", "help"), ("kexec", "--version"), ("efibootmgr", "--version"), ("udevadm", "--version"),
        ("dropbear", "-V"), ("ip", "-V"), ("busybox", "udhcpc", "--help"), ("mount", "--version"),
    ],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_programs_find_their_libraries(scratch: Path, argv: tuple[str, ...]) -> None:
    tree = scratch / "tree"
    if not tree.is_dir():
        pytest.skip("the ramdisk was not built")
    try:
        run_inside(tree, argv)
    except CommandFailed as error:  # some end with 1 after their help; 127 and the loader's message mean a broken one
        assert "ended with 1" in error.what and "127" not in error.what
        assert "error while loading" not in error.hint


@needs_cache
def test_same_inputs_change_nothing_and_a_new_agent_is_one_layer(scratch: Path) -> None:
    first = carry_out(order(scratch, "first"))
    again = carry_out(order(scratch, "first"))
    assert not again.changed
    assert again.ramdisk == first.ramdisk
    before = (first.path / "initrd.img").read_bytes()
    changed = carry_out(order(scratch, "second"))
    assert changed.changed
    after = (changed.path / "initrd.img").read_bytes()
    base = before.rindex(b"\x1f\x8b\x08")
    assert after[:base] == before[:base]
    assert after != before


@needs_cache
def test_a_broken_agent_is_refused_and_the_old_ramdisk_stays(scratch: Path) -> None:
    first = carry_out(order(scratch, "first"))
    broken = order(scratch, "first")
    (broken.agent / "__main__.py").write_text("def :\n")
    with pytest.raises(CommandFailed, match="compileall"):
        carry_out(broken)
    assert read_ramdisk(first.path) == first.ramdisk


@needs_cache
def test_the_host_without_modules_is_told_so(scratch: Path) -> None:
    wanted = Order(KernelChoice(Source.HOST), "x86_64", scratch / "installer", scratch / "boot", release="0.0.0-none")
    with pytest.raises(ImagedError, match=r"no (kernel )?modules"):
        carry_out(wanted)
