"""Container images as files: which one is meant, which layers it has, what a layer takes away. Pure.

OCI image-spec v1.1: image-layout.md, image-index.md, manifest.md, config.md, layer.md; and the older ``docker save``.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from imaged.model.errors import BadInput

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
_ATTESTATION = "vnd.docker.reference.type"
# GOARCH, which container images use, by what `uname -m` says.
_ARCHES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le", "s390x": "s390x",
    "riscv64": "riscv64", "loongarch64": "loong64",
}  # fmt: skip
_MARK = ".wh."
_OPAQUE = ".wh..wh..opq"


@frozen
class Blob:
    """A file of a layout, by what it must hash to. ``size`` in bytes; -1 where nobody says it."""

    digest: str
    size: int = -1
    path: str = ""  # of an older ``docker save``, where blobs have other names

    @property
    def at(self) -> str:
        """Its path in the layout."""
        return self.path or f"blobs/sha256/{self.digest.removeprefix('sha256:')}"


@frozen
class Choice:
    """One image of several. ``arch`` as in container images; empty where only its config tells."""

    blob: Blob
    names: tuple[str, ...] = ()
    arch: str = ""

    def __str__(self) -> str:
        return " ".join((*self.names, self.arch)).strip() or self.blob.digest


@frozen
class Manifest:
    """What one image consists of. The layers come in the order in which they are laid down."""

    config: Blob
    layers: tuple[Blob, ...]
    names: tuple[str, ...] = ()


def goarch(machine: str) -> str:
    """What container images call the processor that ``uname -m`` calls ``machine``; their own words stay."""
    return _ARCHES.get(machine, machine)


def is_index(text: bytes) -> bool:
    """Whether it is a list of images, as of one for several processors, rather than one. Media types are optional."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(plain, dict) and "manifests" in plain


def read_index(text: bytes, where: str) -> tuple[Choice, ...]:
    """The images of an image index, or of index.json. What tells about another image only is none. Raises BadInput."""
    found = []
    for entry in _list(_json(text, where), "manifests", where):
        notes = entry.get("annotations") or {}
        platform = entry.get("platform") or {}
        if not isinstance(notes, dict) or not isinstance(platform, dict):
            raise _wrong(where)
        if _ATTESTATION in notes:
            continue
        names = tuple(dict.fromkeys(_plain(notes[key]) for key in reversed(_NAMES) if key in notes))
        arch = _plain(platform.get("architecture") or "")
        found.append(Choice(_blob(entry, where), names, arch))
    return tuple(found)


def choose(choices: Sequence[Choice], tag: str, arch: str, default: str, where: str) -> Choice:
    """The image that is meant: ``tag`` and ``arch`` are what was asked for, ``default`` is this machine's processor.

    Raises BadInput that lists what there is.
    """
    fit = [each for each in choices if not tag or any(_is_called(name, tag) for name in each.names)]
    listed = "\n  ".join(str(each) for each in choices) or "none"
    if not fit:
        raise BadInput(
            f"there is no image {tag!r} in it" if tag else "there is no image in it", where=where, hint=listed
        )
    if arch:
        fit = [each for each in fit if not each.arch or each.arch == goarch(arch)]
        if not fit:
            raise BadInput(f"there is none for {arch} in it", where=where, hint=listed)
    elif len({each.arch for each in fit}) > 1:
        own = [each for each in fit if each.arch in ("", goarch(default))]
        if not own:
            raise BadInput(f"there is none for {default} in it", where=where, hint=f"Choose with --arch:\n  {listed}")
        fit = own
    if len({each.blob.digest for each in fit}) > 1:
        raise BadInput("there are several images in it", where=where, hint=f"Choose with --tag:\n  {listed}")
    return fit[0]


def _is_called(name: str, tag: str) -> bool:
    """``12``, ``debian:12`` and the whole name all mean ``registry/debian:12``."""
    return name == tag or name.endswith((f":{tag}", f"/{tag}"))


def read_manifest(text: bytes, where: str) -> Manifest:
    """An image manifest. Raises BadInput, also for what is packed like an image and is none (a chart, a signature)."""
    plain = _json(text, where)
    config, layers = plain.get("config"), _list(plain, "layers", where)
    if not isinstance(config, dict):
        raise _wrong(where)
    return Manifest(_blob(config, where), tuple(_blob(layer, where) for layer in layers))


def read_docker(text: bytes, where: str) -> tuple[Manifest, ...]:
    """``manifest.json`` of ``docker save``. Raises BadInput."""
    try:
        listed = json.loads(text)
        return tuple(
            Manifest(
                _named(each["Config"]),
                tuple(_named(layer) for layer in each["Layers"]),
                tuple(_plain(name) for name in each["RepoTags"] or ()),
            )
            for each in listed
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _wrong(where) from None


def _named(path: str) -> Blob:
    """What the name says of the digest, where it says it."""
    if not isinstance(path, str):
        raise TypeError
    match = re.fullmatch(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?", path)
    return Blob(f"sha256:{match[1]}" if match else "", path=path)


def diff_ids(text: bytes, count: int, where: str) -> tuple[tuple[str, ...], str]:
    """What the ``count`` layers must hash to once uncompressed, and the processor. Raises BadInput."""
    plain = _json(text, where)
    rootfs = plain.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, str) and _DIGEST.fullmatch(each) for each in found):
        raise BadInput("is no container image: its config names no layers", where=where)
    if len(found) != count:
        raise BadInput(f"has {count} layers, and its config tells of {len(found)}", where=where)
    return tuple(found), _plain(plain.get("architecture") or "")


@frozen
class Taken:
    """What of the layers below goes before a layer is laid down: paths as in the layer, without a leading slash.

    Of ``emptied`` directories only the content goes. ``replaced`` goes where it is a directory.
    """

    removed: tuple[str, ...]
    emptied: tuple[str, ...]
    replaced: tuple[str, ...]


def taken(members: Iterable[tuple[str, bool]]) -> Taken:
    """``members`` are the names in a layer, and whether each is a directory. Raises BadInput for a senseless mark."""
    removed, emptied, replaced = [], [], []
    for raw, directory in members:
        path = "/".join(part for part in raw.split("/") if part not in ("", "."))
        parent, _, name = path.rpartition("/")
        if name == _OPAQUE:
            emptied.append(parent)
        elif name.startswith(_MARK + _MARK):
            continue  # aufs keeps its own books there
        elif name.startswith(_MARK):
            gone = name.removeprefix(_MARK)
            if gone in ("", ".", ".."):
                raise BadInput(f"a layer takes {gone!r} away: {path}", hint="The image is broken; make it again.")
            removed.append(f"{parent}/{gone}".lstrip("/"))
        elif not directory and path:
            replaced.append(path)
    return Taken(tuple(removed), tuple(emptied), tuple(replaced))


def _plain(text: object) -> str:
    """Somebody else's words, which must not steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text))[:200]


def _json(text: bytes, where: str) -> dict[str, Any]:
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput("is no JSON", where=where, hint="It is damaged, or was cut off.") from None
    if not isinstance(plain, dict):
        raise _wrong(where)
    return plain


def _list(plain: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    found = plain.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _wrong(where)
    return found


def _blob(entry: dict[str, Any], where: str) -> Blob:
    digest, size = entry.get("digest"), entry.get("size")
    if not isinstance(digest, str) or not isinstance(size, int):
        raise _wrong(where)
    if not _DIGEST.fullmatch(digest):
        raise BadInput(f"names a digest that is not checked here: {digest[:80]!r}", where=where)
    return Blob(digest, size)


def _wrong(where: str) -> BadInput:
    return BadInput("is not what the OCI image format says", where=where, hint="Is it a container image?")
