"""What an install leaves of the golden client's disks: files that name them and that no step writes. Pure."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from imaged.model.image import ImageFacts
from imaged.model.plan import InstallPlan
from imaged.planning.touched import touched


def leftovers(facts: ImageFacts, plan: InstallPlan) -> Iterator[str]:
    """``PATH: NAME, NAME`` for each. Nothing is wrong with the plan: somebody must know whether these are of use.

    Where the layout keeps what was there, the names may well be good.
    """
    own = touched(plan)
    for path, names in facts.device_names.items():
        if not any(_covers(pattern, path) for pattern in own):
            yield f"{path}: {', '.join(names)}"


def _covers(pattern: str, path: str) -> bool:
    """As ``model.update.Protected`` has it: what is named and all below it, or (trailing ``/``) only what is below."""
    named, parts = pattern.rstrip("/").split("/"), path.split("/")
    deep = len(parts) > len(named) if pattern.endswith("/") else len(parts) >= len(named)
    return deep and all(fnmatchcase(part, one) for part, one in zip(parts, named, strict=False))
