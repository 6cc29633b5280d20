"""What of an image lands on which filesystem."""

import pytest

from imaged.model.image import ImageFacts, Version
from imaged.planning.needs import needs

USAGE = {"/usr": 500, "/var": 300, "/var/lib": 200, "/home": 50}
VERSION = Version("i", 1, "", "", 1000, 10, "", ImageFacts(arch="x86_64"), usage=USAGE)


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        (["/"], {"/": 1000}),
        (["/", "/var"], {"/": 700, "/var": 300}),
        (["/", "/var", "/var/lib"], {"/": 700, "/var": 100, "/var/lib": 200}),
        (["/", "/var/lib"], {"/": 800, "/var/lib": 200}),
        (["/", "/var/lib/docker"], {"/": 1000, "/var/lib/docker": 0}),  # not counted: the root has room for it
        (["/", "", "/srv"], {"/": 1000, "/srv": 0}),
        (["/", "/usr", "/var", "/home"], {"/": 150, "/usr": 500, "/var": 300, "/home": 50}),
    ],
)
def test_needs(mounts, expected):
    assert needs(VERSION, mounts) == expected
