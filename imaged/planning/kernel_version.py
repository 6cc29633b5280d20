"""What the version of a kernel says of its age. Pure."""

import re


def numbers(version: str) -> tuple[int, ...]:
    """``6.1.0-56-amd64`` is (6, 1)."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
