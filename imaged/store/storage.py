"""How much of the disk a version takes for itself, and how much it shares with others."""

import os
import stat
from collections import Counter
from pathlib import Path

from attrs import frozen

_BLOCK = 512  # bytes; st_blocks counts in these, whatever the filesystem does (stat(2))


@frozen
class Storage:
    """Bytes on the disk. ``own`` comes back when the version is removed, ``shared`` is in another version as well."""

    own: int
    shared: int


def measure(tree: Path) -> Storage:
    """Looks at every path of ``tree``. Blocks that files share without being one (reflinks) count as the tree's own.

    Raises OSError for what cannot be looked at.
    """
    blocks: dict[int, tuple[int, int]] = {}
    names: Counter[int] = Counter()
    own, todo = 0, [os.fsencode(tree)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    todo.append(entry.path)
                if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
                    own += status.st_blocks * _BLOCK
                else:
                    names[status.st_ino] += 1
                    blocks[status.st_ino] = (status.st_nlink, status.st_blocks * _BLOCK)
    alone = sum(size for inode, (links, size) in blocks.items() if names[inode] == links)
    return Storage(own + alone, sum(size for _, size in blocks.values()) - alone)
