"""Private keys of nodes, kept for the next install: a directory per node that only the daemon's user may enter."""

import shutil
from pathlib import Path

from imaged.model.codec import from_json, to_json
from imaged.model.names import node_name
from imaged.model.vault import KeptFiles
from imaged.store import durable


class Vault:
    """``root`` is ``State.vault``. A node's generation counts how often it has become another (``identity: new``)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, node: str, files: KeptFiles) -> None:
        """These from now on, and no others. Raises BadInput for what is no identity."""
        self._write(node, "identity.json", to_json(files.checked()))

    def of(self, node: str) -> KeptFiles:
        """What is kept of ``node``. Raises BadInput for a file that somebody else wrote."""
        path = self._root / node_name(node) / "identity.json"
        return from_json(path.read_bytes(), KeptFiles, where=str(path)).checked() if path.is_file() else KeptFiles()

    def generation(self, node: str) -> int:
        """0 for a node that has always been the same."""
        path = self._root / node_name(node) / "generation"
        return int(path.read_text()) if path.is_file() else 0

    def renew(self, node: str, generation: int) -> None:
        """The node has become another."""
        self._write(node, "generation", f"{generation}\n")

    def forget(self, node: str) -> None:
        """A node of that name is another one from now on."""
        shutil.rmtree(self._root / node_name(node), ignore_errors=True)

    def _write(self, node: str, name: str, text: str) -> None:
        home = self._root / node_name(node)
        with durable.explained(home):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.mkdir(mode=0o700, exist_ok=True)
            home.chmod(0o700)
            path = home / name
            beside = home / f".{name}.new"
            beside.touch(mode=0o600)  # never others', not even while it is written; write_file writes into this one
            durable.write_file(path, text)
