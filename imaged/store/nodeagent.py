"""The agent that stays on a node, as the bytes of its zipapp: the same bytes for the same sources, on any machine."""

import io
import zipfile
from functools import cache
from pathlib import Path

from imaged.store.paths import shipped

_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = "import sys\n\nfrom installer.node.main import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can name


@cache
def node_agent() -> bytes:
    """What ``/usr/lib/imaged/imaged.pyz`` holds. Raises NotFound where the agent's sources are not installed."""
    sources = shipped("installer", "node")
    files = {"__main__.py": _MAIN, "installer/__init__.py": ""}
    files |= {f"installer/node/{path.name}": path.read_text(encoding="utf-8") for path in _modules(sources)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return _SHEBANG + packed.getvalue()


def _modules(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix == ".py")
