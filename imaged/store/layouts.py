"""Layout files by name: the site's own first, then those we ship. What is in them is for planning to say."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imaged.model.errors import BadInput, NotFound
from imaged.model.names import layout_name
from imaged.store import durable, yamlfile
from imaged.store.paths import shipped

Said = dict[str, Any]
_SHIPPED = ("autoinstall_scripts", "layouts")


def find(root: Path, name: str) -> Any:
    """The plain data of layout ``name``; ``root`` holds the site's (``State.layouts``).

    Raises BadInput for what is no name of a layout and for a file that is not YAML, NotFound with the names there are.
    """
    return yamlfile.load(path_of(root, name))


def path_of(root: Path, name: str) -> Path:
    """The file of layout ``name``. Raises BadInput or NotFound as ``find`` does."""
    file = f"{layout_name(name)}.yaml"
    for directory in _directories(root):
        path = directory / file
        if path.is_file():
            return path
    raise NotFound(
        f"there is no layout {name!r}",
        where=str(root),
        hint=f"There are: {', '.join(names(root)) or 'none'}. Write your own as {root / file}.",
    )


def write(root: Path, name: str, text: str, note: Callable[[str, str, Said, Said], None]) -> Path:
    """A layout of the site, in the place of one that was there; ``note`` as for ``Images``."""
    path = root / f"{layout_name(name)}.yaml"
    before = {"sha256": _digest(path.read_bytes())} if path.exists() else {}
    root.mkdir(parents=True, exist_ok=True)
    durable.write_file(path, text)
    note("layout written", name, before, {"sha256": _digest(text.encode())})
    return path


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def names(root: Path) -> tuple[str, ...]:
    """Every layout that ``find`` knows, sorted."""
    found = set()
    for directory in _directories(root):
        found |= {path.stem for path in directory.glob("*.yaml") if _is_name(path.stem)}
    return tuple(sorted(found))


def _directories(root: Path) -> tuple[Path, ...]:
    return (root, shipped(*_SHIPPED))


def _is_name(text: str) -> bool:
    try:
        layout_name(text)
    except BadInput:
        return False
    return True
