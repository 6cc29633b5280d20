"""How fstab(5) and the kernel's lists of mounts write blanks, tabs, newlines and backslashes. Pure."""

import re


def unescaped(field: str) -> str:
    r"""``a\040b`` is ``a b``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
