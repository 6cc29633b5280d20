"""The ramdisk's second layer: the agent and the pure Python it stands on. Made in a second when the agent changes."""

import gzip
import importlib.util
import shutil
from pathlib import Path

from imaged.model.errors import NotFound
from imaged.ramdisk.cpio import Entry, archive, padded
from imaged.ramdisk.enter import Bind, run_inside
from imaged.ramdisk.trees import digest

HOME = "usr/lib/imaged"  # in the ramdisk; imaged-init puts it on PYTHONPATH
LIBRARIES = ("attr", "attrs", "cattr", "cattrs", "typing_extensions")
_LEFT_OUT = {"tests", "__pycache__", "preconf"}  # preconf: converters for bson, msgpack and others that are not there


def agent_files(agent: Path, libraries: tuple[str, ...] = LIBRARIES) -> dict[str, bytes]:
    """Every source of the layer: path below HOME to contents. ``agent`` is the directory of the package."""
    found = {f"installer/{name}": content for name, content in _package(agent).items()}
    ours = _location("imaged")
    found["imaged/__init__.py"] = (ours / "__init__.py").read_bytes()
    found |= {f"imaged/model/{name}": content for name, content in _package(ours / "model").items()}
    for library in libraries:
        place = _location(library)
        if place.is_dir():
            found |= {f"{library}/{name}": content for name, content in _package(place).items()}
        else:
            found[place.name] = place.read_bytes()
    return found


def files_key(files: dict[str, bytes]) -> str:
    """A hash of the layer's sources."""
    return digest(*(part for name in sorted(files) for part in (name, files[name])))


def layer(toolset: Path, files: dict[str, bytes], scratch: Path) -> bytes:
    """The packed layer, compiled by the Python that will run it. ``scratch`` is a directory of the caller's."""
    tree = scratch / "agent"
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    # Unchecked, since the archive carries no dates; -s and -p so that tracebacks name the ramdisk's paths.
    compiled = ("python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
                "-s", "/mnt/output", "-p", f"/{HOME}", "/mnt/output")  # fmt: skip
    run_inside(toolset, compiled, (Bind(tree, "mnt/output", writable=True),))
    entries = [
        Entry.file(f"{HOME}/{path.relative_to(tree)}", path.read_bytes()) for path in tree.rglob("*") if path.is_file()
    ]
    shutil.rmtree(tree)
    return padded(gzip.compress(archive(entries), 9, mtime=0))


def _location(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise NotFound(f"the Python package {package} is not installed", hint="Install imaged again.")
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _package(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*.py"))
        if not _LEFT_OUT & set(path.relative_to(root).parts)
    }
