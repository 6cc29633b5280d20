"""What images are imported from, made on the spot: a root with every kind of file, archives of it, container images."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imaged.origins import importing
from imaged.origins.importing import Imported, Source
from imaged.origins.oci import Wanted
from imaged.origins.unpacking import Watch
from imaged.store import seal
from imaged.store.manifest import Entry
from tests.origins import tiny

ODD = (
    b"new\nline",
    b"not utf-8 \xff\xfe",
    "ünïcode".encode(),
    b"-dash",
    b" blank ",
    b"*[?]\\n",
    b"n" * 255,
    b"\x1b[31m",
)


def make_root(root: Path) -> None:
    """A root that could be installed, and in /srv everything that makes a file."""
    tiny.make(root)
    for name in ("boot/vmlinuz-6.1", "boot/initrd.img-6.1", "usr/lib/modules/6.1/x", "usr/sbin/sshd"):
        tiny.write(root / name, "x")
    tiny.write(root / "usr/lib/grub/i386-pc/moddep.lst", "")
    (root / "usr/sbin/init").symlink_to("../bin/busybox")
    for name in ("machine-id", "hostname", "ssh/ssh_host_rsa_key"):
        tiny.write(root / "etc" / name, "mine\n")
    tiny.write(root / "proc/1/status", "a process")
    _make_odd(root / "srv")


def _make_odd(at: Path) -> None:
    at.mkdir()
    tiny.write(at / "suid", "#!/bin/sh\n")
    os.chown(at / "suid", 1234, 4_000_000_000)
    (at / "suid").chmod(0o6755)
    tiny.write(at / "first", "one file")
    os.link(at / "first", at / "second")
    os.mkfifo(at / "fifo", 0o640)
    os.mknod(at / "char", 0o660 | 0o020000, os.makedev(5, 1))
    os.mknod(at / "block", 0o660 | 0o060000, os.makedev(8, 300))
    (at / "absolute").symlink_to("/etc/passwd")
    (at / "dangling").symlink_to("../../../../no such thing")
    os.chown(at / "dangling", 7, 8, follow_symlinks=False)
    with (at / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"in the middle")
    for name in ODD:
        (Path(os.fsdecode(os.fsencode(at) + b"/" + name))).write_text("odd")
    tiny.write(at / "attributes", "a")
    os.setxattr(at / "attributes", "user.note", b"\0binary\xff=\n")
    os.setxattr(at / "attributes", "trusted.note", b"for root")
    os.setxattr(at / "attributes", "security.selinux", b"system_u:object_r:etc_t:s0\0")
    # cap_net_raw=ep, revision 2 (linux/capability.h)
    os.setxattr(at / "attributes", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    (at / "shared").mkdir(mode=0o2770)
    subprocess.run(("setfacl", "-m", "u:1234:rw,d:g:5678:rx", str(at / "shared")), check=True)
    (at / "read-only").mkdir()
    tiny.write(at / "read-only/file", "x")
    (at / "read-only").chmod(0o555)
    for path in (at / "shared", at / "read-only", at):
        os.utime(path, ns=(1, 1_600_000_000_123_456_789))


GNU = ("tar", "--xattrs", "--xattrs-include=*", "--acls", "--selinux", "--sparse", "--numeric-owner", "-c", "-f")
BSD = ("bsdtar", "--xattrs", "--acls", "--format=pax", "-c", "-f")


def archive(root: Path, to: Path, *, tool: Sequence[str] = GNU, what: Sequence[str] = (".",), packer: str = "") -> Path:
    """A tar archive of ``what`` in ``root``, compressed with ``packer``."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run((*tool, str(to), "-C", str(root), *what), check=True, env=environment)
    if packer:
        with to.with_name("packed").open("wb") as packed:
            subprocess.run((packer, "-c", str(to)), stdout=packed, check=True)
        to.with_name("packed").rename(to)
    return to


def entries(root: Path) -> dict[str, Entry]:
    """Everything about everything in a tree, the time of its root apart."""
    return {entry.path: entry for entry in seal.read_tree(root).entries if entry.path != "."}


class Site:
    """A place to import to: ``tree`` is filled, ``lines`` is the log."""

    def __init__(self, place: Path) -> None:
        self.place = place / "working"
        self.tree = self.place / "tree"
        self.tree.mkdir(parents=True)
        self.lines: list[str] = []

    def take(self, source: Path, *, tag: str = "", arch: str = "", machine: str = "x86_64") -> Imported:
        wanted = Source(source, Wanted(tag, arch, machine), None, self.place / "boot")
        return importing.fill(wanted, self.tree, Watch(self.lines.append, lambda _: None))

    def rest(self) -> list[str]:
        """What lies beside the tree."""
        return sorted(path.name for path in self.place.iterdir() if path != self.tree)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644, device: int = 0
) -> tarfile.TarInfo:
    """A header as nobody's tar would write it."""
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode, found.mtime = kind, link, mode, 1_600_000_000
    found.devmajor, found.devminor = device >> 8, device & 255
    return found


def forged(*members: tuple[tarfile.TarInfo, str]) -> bytes:
    """A tar archive of members with their contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, content in members:
            data = content.encode()
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def layer(**files: str | None) -> bytes:
    """A layer; ``a__b="x"`` is the file a/b, None a directory."""
    return layer_of({name.replace("__", "/"): content for name, content in files.items()})


def layer_of(files: dict[str, str | None]) -> bytes:
    """The same with names of any kind."""
    return forged(
        *(
            (member(name, tarfile.DIRTYPE, mode=0o755), "") if content is None else (member(name), content)
            for name, content in files.items()
        )
    )


def _zstd(plain: bytes) -> bytes:
    return subprocess.run(("zstd", "-c"), input=plain, capture_output=True, check=True).stdout


Packer = tuple[str, Callable[[bytes], bytes]]
GZIP: Packer = ("+gzip", gzip.compress)
PACKERS: tuple[Packer, ...] = (("", lambda plain: plain), GZIP, ("+zstd", _zstd))
_LAYER = "application/vnd.oci.image.layer.v1.tar"


class LayoutMaker:
    """Writes an OCI image layout into a directory."""

    def __init__(self, at: Path) -> None:
        self.at = at
        (at / "blobs/sha256").mkdir(parents=True)
        (at / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.top: list[dict[str, Any]] = []

    def blob(self, content: bytes, kind: str = "application/octet-stream") -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.at / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def document(self, value: object, kind: str) -> dict[str, Any]:
        return self.blob(json.dumps(value).encode(), f"application/vnd.oci.image.{kind}.v1+json")

    def image(
        self, layers: Sequence[bytes], arch: str = "amd64", packers: Sequence[Packer] = PACKERS
    ) -> dict[str, Any]:
        """The descriptor of an image; its layers are packed by ``packers`` in turn."""
        diffs = [f"sha256:{hashlib.sha256(plain).hexdigest()}" for plain in layers]
        config = {"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}
        chosen = [packers[number % len(packers)] for number in range(len(layers))]
        blobs = [self.blob(pack(plain), _LAYER + kind) for (kind, pack), plain in zip(chosen, layers, strict=True)]
        manifest = {"schemaVersion": 2, "config": self.document(config, "config"), "layers": blobs}
        found = self.document(manifest, "manifest")
        return {**found, "platform": {"architecture": arch, "os": "linux"}}

    def index(self, *images: dict[str, Any]) -> dict[str, Any]:
        return self.document({"schemaVersion": 2, "manifests": list(images)}, "index")

    def add(self, image: dict[str, Any], name: str = "") -> None:
        """Name an image in index.json."""
        notes = {"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}
        self.top.append({**image, **notes})
        (self.at / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.top}))
