"""Lays the layers of a container image down, one over the other, each blob checked against its digest."""

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.model.errors import BadInput, CommandFailed
from imaged.model.size import format_size
from imaged.origins import unpacking
from imaged.origins.unpacking import Watch
from imaged.planning import oci
from imaged.planning.importing import Holds, Packing, packing, unpack_argv, untar
from imaged.planning.oci import Blob, Choice, Manifest
from imaged.store.tree import Tree

_DOCUMENT = 64 << 20  # bytes of a manifest or config at most
_BLOCK = 1 << 20
_DAMAGED = "It is damaged, or was cut off: copy it again."


@frozen
class Wanted:
    """Which of several images; empty: the one for ``machine``'s processor, as ``uname -m`` says it."""

    tag: str
    arch: str
    machine: str


@frozen
class Laid:
    """What was laid down: for people, and the attributes that could not be set."""

    name: str
    arch: str
    lost: int


def fill(layout: Path, kind: Holds, tree: Path, wanted: Wanted, watch: Watch) -> Laid:
    """Fill the empty ``tree`` from the layout or the unpacked ``docker save`` in the directory ``layout``.

    Raises BadInput for what is missing in it or not what its digest says, and for a choice that is not clear.
    """
    store = Layout(Tree(layout))
    manifest, names, digest = store.image(wanted) if kind is Holds.OCI else store.docker(wanted)
    text = store.document(manifest.config)
    diffs, arch = oci.diff_ids(text, len(manifest.layers), manifest.config.at)
    if wanted.arch and arch and arch != oci.goarch(wanted.arch):
        raise BadInput(f"is for {arch}, not for {wanted.arch}", where=str(layout))
    scratch = tree.parent / "layer"
    lost = 0
    for number, (blob, diff) in enumerate(zip(manifest.layers, diffs, strict=True), 1):
        watch.detail(f"layer {number} of {len(diffs)}")
        watch.note(f"layer {number} of {len(diffs)}: {blob.at}")
        try:
            store.uncompress(blob, diff, scratch)
            if number > 1:
                clear_way(scratch, Tree(tree), blob.at)
            lost += unpacking.unpack(untar(layer=True), scratch, tree, watch, packed=Packing.NONE)
        except BadInput as error:
            raise BadInput(error.what, where=f"layer {number}, {blob.at}", hint=error.hint) from None
        finally:
            scratch.unlink(missing_ok=True)
    return Laid(" ".join(filter(None, (*names[:1], digest))), arch, lost)


@frozen
class Layout:
    """A directory of blobs. Links in it are followed inside it only: it may come from an archive."""

    tree: Tree

    def image(self, wanted: Wanted) -> tuple[Manifest, tuple[str, ...], str]:
        """The manifest that is wanted, its names and its digest: index.json, then what that names."""
        where = "index.json"
        choices = oci.read_index(self._read(where), where)
        chosen: Choice = oci.choose(choices, wanted.tag, wanted.arch, wanted.machine, where)
        names = chosen.names
        text = self.document(chosen.blob)
        for _ in range(4):  # an index of indexes; deeper is a trap
            if not oci.is_index(text):
                return oci.read_manifest(text, chosen.blob.at), names, chosen.blob.digest
            where = chosen.blob.at
            chosen = oci.choose(oci.read_index(text, where), "", wanted.arch, wanted.machine, where)
            text = self.document(chosen.blob)
        raise BadInput("one index names another, without end", where=where)

    def docker(self, wanted: Wanted) -> tuple[Manifest, tuple[str, ...], str]:
        """The same of manifest.json, where each image has a config and no manifest of its own."""
        where = "manifest.json"
        manifests = oci.read_docker(self._read(where), where)
        choices = [Choice(each.config, each.names) for each in manifests]
        chosen = oci.choose(choices, wanted.tag, wanted.arch, wanted.machine, where)
        return manifests[choices.index(chosen)], chosen.names, chosen.blob.digest

    def document(self, blob: Blob) -> bytes:
        """A small blob, checked."""
        content = self._read(blob.at)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if blob.digest and digest != blob.digest:
            raise BadInput("is not what its digest says", where=blob.at, hint=_DAMAGED)
        return content

    def _read(self, path: str) -> bytes:
        at = self._at(path)
        if at.stat().st_size > _DOCUMENT:
            raise BadInput(f"is too large: {format_size(at.stat().st_size)}", where=path)
        return at.read_bytes()

    def _at(self, path: str) -> Path:
        at = self.tree.locate(path)
        if at is None or not at.is_file():
            hint = "An image may leave layers to a registry: save it with all of them."
            raise BadInput("is not in the image", where=path, hint=hint)
        return at

    def uncompress(self, blob: Blob, diff: str, into: Path) -> None:
        """A layer as a plain archive, checked as it lies there and once it is uncompressed."""
        at = self._at(blob.at)
        if blob.size >= 0 and at.stat().st_size != blob.size:
            what = f"has {at.stat().st_size} bytes, and should have {blob.size}"
            raise BadInput(what, where=blob.at, hint=_DAMAGED)
        # Of an older `docker save`, the name is that of an uncompressed layer or of nothing.
        if blob.digest and blob.digest != diff and blob.digest != f"sha256:{_hash(at)}":
            raise BadInput("is not what its digest says", where=blob.at, hint=_DAMAGED)
        packed = packing(unpacking.read_head(at))
        if packed is Packing.NONE:
            shutil.copyfile(at, into)
        else:
            unpacking.needed(packed.value, "bash")
            script = 'exec 3< "$1" 4> "$2"; exec ' + " ".join(unpack_argv(packed)) + " <&3 >&4"
            try:
                process.run(("setpriv", "--pdeathsig", "KILL", "bash", "-c", script, "layer", str(at), str(into)))
            except CommandFailed as error:
                if "No space left" in error.hint:
                    raise CommandFailed(error.hint, where="the image store", hint="Make room there.") from None
                raise BadInput(error.hint or error.what, where=blob.at, hint=_DAMAGED) from None
        if f"sha256:{_hash(into)}" != diff:
            raise BadInput("is not what the image's config says, once it is uncompressed", where=blob.at, hint=_DAMAGED)


def clear_way(layer: Path, tree: Tree, where: str) -> None:
    """Take away what ``layer`` says is gone, and directories where it has something else. Links end where they are."""
    gone = oci.taken(_members(layer, where))
    for path in gone.emptied:
        at = tree.locate(path)
        if at is not None:
            for name in tree.names(path):
                _remove(at / name)
    for path in gone.removed:
        _remove(tree.locate(path, follow=False))
    for path in gone.replaced:
        at = tree.locate(path, follow=False)
        if at is not None and at.is_dir() and not at.is_symlink():
            _remove(at)


def _members(layer: Path, where: str) -> Iterator[tuple[str, bool]]:
    try:
        with tarfile.open(layer, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                yield member.name, member.isdir()
                archive.members = []  # type: ignore[attr-defined]  # or each stays in memory
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise BadInput(str(error), where=where, hint=_DAMAGED) from None


def _remove(at: Path | None) -> None:
    """What is not there is gone already: it was in a layer that somebody squashed."""
    if at is None:
        return
    if at.is_dir() and not at.is_symlink():
        shutil.rmtree(at)
    else:
        at.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
