"""A seeded generator of large file trees for the benches: same seed, same tree, on any machine."""

import hashlib
import os
import random
from pathlib import Path

_BLOCK = 1 << 20
_PER_DIRECTORY = 25
_LINKS = 0.04  # share of symbolic links, about that of a Debian system
_EPOCH = 1_700_000_000


def make(root: Path, seed: int, files: int, size: int) -> None:
    """``files`` files of ``size`` bytes in all below ``root``: log-normal sizes, directories three to five deep."""
    rand = random.Random(seed)
    block = rand.randbytes(_BLOCK)
    weights = [rand.lognormvariate(0, 1.6) for _ in range(files)]
    scale = size / sum(weights)
    directories = [_directory(rand, number) for number in range(max(1, files // _PER_DIRECTORY))]
    for name in directories:
        (root / name).mkdir(parents=True, exist_ok=True)
    for number, weight in enumerate(weights):
        path = root / rand.choice(directories) / f"{_word(rand)}-{number}"
        if rand.random() < _LINKS:
            path.symlink_to(f"../{_word(rand)}")
            continue
        write(path, block, number, int(weight * scale))
        os.utime(path, (_EPOCH + number, _EPOCH + number))


def change(root: Path, seed: int, count: int) -> tuple[Path, ...]:
    """Give ``count`` of the files other content, as a security update does: about the same size, a new time."""
    rand = random.Random(seed)
    block = rand.randbytes(_BLOCK)
    found = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    chosen = tuple(rand.sample(found, count))
    for number, path in enumerate(chosen):
        size = path.stat().st_size
        path.unlink()  # a new inode: the old one may belong to a sealed version as well
        write(path, block, number, size + rand.randrange(64))
    return chosen


def write(path: Path, block: bytes, number: int, size: int) -> None:
    """Content that no other file has: a header of its own, then the same random block again and again."""
    header = hashlib.sha256(b"%d" % number).digest()[:size]
    with path.open("wb") as file:
        file.write(header)
        left = size - len(header)
        while left > 0:
            file.write(block[:left])
            left -= _BLOCK


def _directory(rand: random.Random, number: int) -> str:
    return "/".join(f"{_word(rand)}{number % (9 * level + 5)}" for level in range(rand.randint(3, 5)))


def _word(rand: random.Random) -> str:
    return "".join(rand.choices("abcdefghijklmnopqrstuvwxyz", k=rand.randint(4, 11)))
