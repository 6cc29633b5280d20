"""Runs an unpacker with the tree as its root: whatever names and links an archive has, they cannot lead out of it.

What tar(1) itself refuses is not enough: a link that one layer of a container image brings, the next may write through
(CVE-2025-45582). Here the kernel resolves every name as the machine will that gets the tree. The program and its
libraries come into the tree by a memory filesystem that only its own mount namespace sees.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from imaged import process
from imaged.model.errors import BadInput, CommandFailed, ImagedError
from imaged.planning.build import contained
from imaged.planning.importing import (
    HEAD,
    PACKAGES,
    SOURCE,
    Packing,
    Unpacker,
    bytes_read,
    in_short,
    is_loss,
    is_trouble,
    packing,
    unpack_argv,
    without_program,
)

_FULL = ("No space left on device", "quota exceeded", "Wrote only")  # the last is tar's word for a short write(2)
_SHOWN = 8  # lines of trouble in an error

# Constant: every name travels as an argument. nodev: a file cannot be written to a disk of ours whose device node came
# first in the archive. The box is read-only before anything of the archive is there.
_CONFINE = r"""set -eo pipefail
tree=$1 source=$2 box=$3 loader=$4 program=$5 unpack=$6 input=$7 count=$8
shift 8
brought=("${@:1:count}")
shift "$count"
exec 3< "$source"
mount --bind "$tree" "$tree"
mount -o remount,bind,nodev,nosuid,noexec "$tree"
cd "$tree"
mount -t tmpfs -o mode=0700,nodev,nosuid tmpfs "./$box"
cp -L -- "${brought[@]}" "./$box/"
: > "./$box/source"
mount --bind "$source" "./$box/source"
mount -o remount,ro "./$box"
inside() { exec chroot . "/$box/$loader" --library-path "/$box" "/$box/$program" "$@"; }
case $input in
  none) inside "$@" ;;
  plain) inside "$@" <&3 ;;
  *) $unpack <&3 | inside "$@"
esac
"""


@frozen
class Watch:
    """Who is told: ``note`` gets every line for the log, ``detail`` what a person may see move."""

    note: Callable[[str], None]
    detail: Callable[[str], None]


def unpack(unpacker: Unpacker, source: Path, tree: Path, watch: Watch, *, packed: Packing | None = None) -> int:
    """Fill ``tree`` from the file ``source``; returns how many attributes could not be set (the log says which).

    Raises BadInput for an archive that is cut off or damaged, CommandFailed for a tool that is missing and a full disk.
    """
    needed(unpacker.program, "bash")
    packed = packing(read_head(source)) if packed is None else packed
    if packed is not Packing.NONE:
        needed(packed.value)
    brought = _program(unpacker.program)
    box = f".imaged-{secrets.token_hex(8)}"
    argv = [word.replace(SOURCE, f"/{box}/source") for word in unpacker.argv]
    way = "none" if SOURCE in unpacker.argv else "plain" if packed is Packing.NONE else "packed"
    words = (str(tree), str(source.resolve()), box, _loader(brought).name, unpacker.program)
    script = ("bash", "-c", _CONFINE, "unpack", *words, " ".join(unpack_argv(packed)), way)
    trouble: list[str] = []
    lost = 0

    def on_line(line: str) -> None:
        nonlocal lost
        done = bytes_read(line)
        if done is not None:
            watch.detail(f"{done >> 20} MiB read")
            return
        said = without_program(line)
        watch.note(said)
        lost += is_loss(said)
        if is_trouble(said):
            trouble.append(in_short(said))

    at = tree / box
    at.mkdir(mode=0o700)
    try:
        watch.note(f"+ {unpacker.program} {' '.join(argv)} < {source}")
        code = process.stream(contained((*script, str(len(brought)), *map(str, brought), *argv)), on_line, check=False)
    finally:
        _take_away(at, tree)
    if code:
        raise _failed(unpacker.program, code, trouble, source)
    return lost


def _failed(program: str, code: int, trouble: Sequence[str], source: Path) -> ImagedError:
    said = "\n  ".join(trouble[:_SHOWN]) or f"{program} ended with {code}"
    if any(words in said for words in _FULL):
        hint = "Make room there, then run the same command again."
        return CommandFailed(f"the disk is full\n  {said}", where="the image store", hint=hint)
    if code < 0 or code > 128:
        return CommandFailed(f"{said}\n  (ended with {code})", where=str(source))
    return BadInput(said, where=str(source), hint=f"{program} cannot unpack it: is it whole? Compare its checksum.")


def _take_away(at: Path, tree: Path) -> None:
    """The mount point, as if it had never been: the tree's own time is part of a version."""
    root = tree.stat()
    at.rmdir()
    os.utime(tree, ns=(root.st_atime_ns, root.st_mtime_ns))


def read_head(source: Path) -> bytes:
    """The first HEAD bytes. Raises BadInput for a file that cannot be read."""
    try:
        with source.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise BadInput(error.strerror or str(error), where=str(source)) from None


def unpacked_head(source: Path, packed: Packing, scratch: Path) -> bytes:
    """The first HEAD bytes once uncompressed, or as many as can be read; ``scratch`` is a file for them."""
    needed(packed.value, "bash")
    script = 'exec 3> "$2"; ' + " ".join(unpack_argv(packed)) + ' < "$1" 2> /dev/null | head -c "$3" >&3'
    process.run(("bash", "-c", script, "head", str(source), str(scratch), str(HEAD)), check=False)
    try:
        return read_head(scratch)
    finally:
        scratch.unlink()


def needed(*programs: str) -> None:
    """Raises CommandFailed for one that is not here, with the package that has it."""
    for program in programs:
        if not shutil.which(program):
            package = PACKAGES.get(program, program)
            raise CommandFailed(f"{program} is not installed", hint=f"Install it: apt install {package}")


def _program(name: str) -> tuple[Path, ...]:
    """A program of this machine and the libraries that it needs, the loader among them."""
    at = shutil.which(name) or name
    listed = process.run(("ldd", at)).output
    found = re.findall(r"(?:=> )?(/\S+) \(0x", listed)
    return (Path(at), *map(Path, found))


def _loader(brought: Sequence[Path]) -> Path:
    """ld.so(8): the one that is named by its path, not looked for."""
    for path in brought[1:]:
        if re.match(r"ld(?:-linux.*|64)?\.so", path.name):
            return path
    raise CommandFailed("is not dynamically linked as expected", where=str(brought[0]))
