"""Features of filesystems that an image's kernel and GRUB read, where a newer mkfs in the ramdisk makes others. Pure.

ext4's are in the image's mke2fs.conf. XFS has no such file, so they follow the image's kernels.
"""

import re
from collections.abc import Sequence

from imaged.model.image import ImageFacts
from imaged.model.stack import Filesystem
from imaged.planning.kernel_version import numbers

# mkfs.xfs(8): option, name, and the first kernel whose distributions read it. Linux 5.10 knows the first two, but no
# distribution's mkfs made them before RHEL 9 (5.14; xfsprogs' own lts_5.15.conf). With nrext64 it is GRUB that counts:
# it reads that since 2.12, which came with Linux 6.8 (Ubuntu 24.04) and later.
_XFS = (("-m", "bigtime", (5, 14)), ("-m", "inobtcount", (5, 14)), ("-i", "nrext64", (6, 8)))


def arguments(fs: Filesystem, facts: ImageFacts, given: Sequence[str]) -> tuple[str, ...]:
    """Arguments of mkfs: what the image cannot read switched off, then those that the layout gives, which win.

    mkfs.xfs takes no option twice, so what the layout speaks of is not said here.
    """
    kernels = [numbers(each.version) for each in facts.kernels]
    if fs is not Filesystem.XFS or not kernels:
        return tuple(given)
    off = [(option, name) for option, name, since in _XFS if min(kernels) < since and not _named(name, given)]
    said = (word for option, name in off for word in (option, f"{name}=0"))
    return (*said, *given)


def _named(name: str, given: Sequence[str]) -> bool:
    return any(re.search(rf"(^|[,a-z]){name}(=|,|$)", each) for each in given)
