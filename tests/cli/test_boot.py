"""``imaged boot`` as a person types it: every action, once or for good, files that go with it, and what is refused."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged.model.boot import LOADERS
from imaged.model.next_boot import MEMTEST, NextBoot
from imaged.model.node import BootAction
from imaged.store import custom
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from tests.cli.test_nodes import ADD, SECOND, call, said, site

__all__ = ["site"]


@pytest.fixture
def nodes(site: Path) -> Path:
    """n1 and n2, and everything that mkramdisk puts in place; the working directory has files to name."""
    call(site, *ADD, "--action", "local")
    call(site, *SECOND, "--console", "ttyS0")
    for path in (*LOADERS.values(), *MEMTEST.values()):
        file = site.parent / "state/boot" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"program")
    (site.parent / "vmlinuz 6").write_bytes(b"kernel")
    (site.parent / "initrd.img").write_bytes(b"initrd")
    (site.parent / "script.ipxe").write_text("#!ipxe\necho {{ node }}\n")
    (site.parent / "wrong.ipxe").write_text("#!ipxe\necho {{ nodde }}\n")
    return site


def booting(site: Path, name: str = "n1") -> str:
    return str(Nodes(open_database(site.parent / "state/imaged.sqlite")).booting(name))


def here(site: Path, words: tuple[str, ...]) -> list[str]:
    return [word.replace("HERE", str(site.parent)) for word in words]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("install",), "install"),
        (("install", "--once"), "install, then local"),
        (("local",), "local"),
        (("local", "--once"), "local"),
        (("rescue",), "rescue"),
        (("rescue", "--always"), "rescue"),
        (("rescue", "--once"), "rescue, then local"),
        (("inventory",), "inventory"),
        (("memtest",), "memtest, then local"),
        (("memtest", "--always"), "memtest"),
        (("ipxe", "--script", "HERE/script.ipxe"), "ipxe, then local"),
        (("ipxe", "--script", "HERE/script.ipxe", "--always"), "ipxe"),
        (("kernel", "--kernel", "HERE/vmlinuz 6"), "kernel, then local"),
        (("kernel", "--kernel", "HERE/vmlinuz 6", "--always", "--append", "quiet"), "kernel"),
    ],
)
def test_once_or_always(nodes: Path, words: tuple[str, ...], expected: str) -> None:
    result = call(nodes, "boot", "n1", *here(nodes, words))
    assert said(result) == f"n1: next network boot: {expected}\n"
    assert booting(nodes) == expected
    assert expected in call(nodes, "lsnode", "n1").output
    assert booting(nodes, "n2") == "install"


def test_files_are_kept_by_content_and_served(nodes: Path) -> None:
    words = ("--kernel", "HERE/vmlinuz 6", "--initrd", "HERE/initrd.img", "--initrd", "HERE/initrd.img")
    result = call(nodes, "boot", "n[1-2]", "kernel", *here(nodes, words), "--append", "  quiet  ip=dhcp ")
    assert said(result).splitlines() == [
        "n1: next network boot: kernel, then local", "n2: next network boot: kernel, then install",
    ]  # fmt: skip
    custom = nodes.parent / "state/boot/custom"
    kept = {path.name[16:]: path.read_bytes() for path in custom.iterdir()}
    assert kept == {"-initrd.img": b"initrd", "-vmlinuz_6": b"kernel"}
    store = Nodes(open_database(nodes.parent / "state/imaged.sqlite"))
    assert {(custom.parent / path).read_bytes() for path in store.boot_files()} == {b"kernel", b"initrd"}
    boot = store.booting("n2").now
    assert (boot.append, len(boot.initrds)) == ("quiet ip=dhcp", 2)
    assert {path.stat().st_mode & 0o777 for path in custom.iterdir()} == {0o644}


@pytest.fixture
def web(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(site.parent))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_kernel_is_fetched_once_from_where_it_is(nodes: Path, web: str) -> None:
    assert call(nodes, "boot", "n1", "kernel", "--kernel", f"{web}/vmlinuz%206?x=1").exit_code == 0
    (kept,) = (nodes.parent / "state/boot/custom").iterdir()
    assert (kept.name[16:], kept.read_bytes()) == ("-vmlinuz_206", b"kernel")
    refused = call(nodes, "boot", "n1", "kernel", "--kernel", f"{web}/none")
    assert refused.exit_code
    assert "/none: cannot be read: File not found" in said(refused)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("stateless",), "nodes without disks do not exist yet"),
        (("instal",), "'instal' is no boot action"),
        (("kernel",), "which kernel?"),
        (("kernel", "--kernel", "HERE/none"), "cannot be read: No such file"),
        (("kernel", "--kernel", "HERE"), "cannot be read: Is a directory"),
        (("kernel", "--kernel", "/dev/null"), "is empty"),
        (("kernel", "--kernel", "http://127.0.0.1:1/x"), "cannot be read"),
        (("kernel", "--kernel", "http://[x"), "http://[x: cannot be read: Invalid IPv6 URL"),
        (("kernel", "--kernel", "http://127.0.0.1:port/x"), "cannot be read: nonnumeric port"),
        (("kernel", "--kernel", "HERE/\0"), "cannot be read: embedded null byte"),
        (("kernel", "--kernel", "HERE/vmlinuz 6", "--append", "a;b"), "would not come through a boot loader"),
        (("ipxe",), "which script?"),
        (("ipxe", "--script", "HERE/wrong.ipxe"), "iPXE script for n1, line 2: 'nodde' is undefined"),
        (("ipxe", "--script", "HERE/initrd.img"), "begins with #!ipxe"),
        (("ipxe", "--script", "HERE/none"), "does not exist"),
        (("local", "--kernel", "HERE/vmlinuz 6"), "go with kernel, not with local"),
        (("memtest", "--append", "x"), "go with kernel, not with memtest"),
        (("rescue", "--script", "HERE/script.ipxe"), "goes with ipxe, not with rescue"),
        (("rescue", "--break", "wipe"), "go with install, not with rescue"),
        (("install", "--always"), "always installed never runs"),
        (("local", "rescue"), "two actions: local and rescue"),
    ],
)  # fmt: skip
def test_refused_actions_change_nothing(nodes: Path, words: tuple[str, ...], why: str) -> None:
    result = call(nodes, "boot", "n1", *here(nodes, words))
    assert result.exit_code
    assert why in said(result)
    assert booting(nodes) == "local"


def test_machines_that_cannot_do_it_are_named_and_the_others_stay_too(nodes: Path) -> None:
    store = Nodes(open_database(nodes.parent / "state/imaged.sqlite"))
    store.keep("n2", secure_boot=True)
    for words, why in (
        (("memtest",), "n2: Secure Boot is on, and nobody signed memtest86+"),
        (("ipxe", "--script", "HERE/script.ipxe"), "n2: it starts by GRUB (Secure Boot is on)"),
    ):
        assert why in said(call(nodes, "boot", "n[1-2]", *here(nodes, words)))
        assert (booting(nodes), booting(nodes, "n2")) == ("local", "install")
    (nodes.parent / "state/boot" / MEMTEST["efi"]).unlink()
    assert "memtest86+ is not here" in said(call(nodes, "boot", "n1", "memtest"))


def test_new_nodes_begin_with_what_needs_nothing_else(nodes: Path) -> None:
    new = ("addnode", "n3", "--mac", "52:54:00:00:00:03", "--image", "tiny", "--action")
    assert "'kernel' is not one of" in said(call(nodes, *new, "kernel"))
    assert call(nodes, *new, "rescue").exit_code == 0


def test_files_that_nothing_names_go_after_a_day(nodes: Path) -> None:
    call(
        nodes,
        "boot",
        "n1",
        "kernel",
        "--kernel",
        str(nodes.parent / "vmlinuz 6"),
        "--initrd",
        str(nodes.parent / "initrd.img"),
    )
    store, boot = Nodes(open_database(nodes.parent / "state/imaged.sqlite")), nodes.parent / "state/boot"
    kernel = store.booting("n1").now.kernel
    store.set_boot(["n1"], NextBoot(BootAction.KERNEL, kernel), once=False)
    now = (boot / kernel).stat().st_mtime
    custom.prune(boot, store.boot_files(), now=now + 3600)
    assert len(list((boot / "custom").iterdir())) == 2
    custom.prune(boot, store.boot_files(), now=now + 100_000)
    assert [f"custom/{path.name}" for path in (boot / "custom").iterdir()] == [kernel]


def test_what_comes_after_is_told_to_programs(nodes: Path) -> None:
    call(nodes, "boot", "n1", "memtest")
    (node,) = json.loads(call(nodes, "lsnode", "--json", "n1").output)["nodes"]
    assert (node["action"], node["boot_after"]["action"]) == ("memtest", "local")
