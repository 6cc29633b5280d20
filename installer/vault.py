"""The node's ssh host keys: told to the server once they are made, written back when the node is imaged again."""

from pathlib import Path

from imaged.model.vault import KeptFiles, belongs, kept
from installer import tree

_HOME = "/etc/ssh"


def restore(files: KeptFiles, root: Path) -> None:
    """Write them where they were. Raises BadInput for what is no host key."""
    for each in files.checked().files:
        tree.replace(tree.inside(root, each.path), each.data, int(each.mode, 8))


def collect(root: Path) -> KeptFiles:
    """Every host key of the tree, private and public."""
    found = ((f"{_HOME}/{path.name}", path) for path in tree.matches(root, f"{_HOME}/ssh_host_*"))
    return KeptFiles(
        tuple(
            kept(name, path.stat().st_mode, path.read_bytes())
            for name, path in found
            if belongs(name) and path.is_file() and not path.is_symlink()
        )
    )
