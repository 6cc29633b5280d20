"""What an image is cleaned of."""

import pytest

from imaged.model.plan import RemovePath, WriteFile
from imaged.planning.clean import CLEAN

_REMOVED = [step.path for step in CLEAN if isinstance(step, RemovePath)]


@pytest.mark.parametrize(
    "path",
    ["/etc/hostname", "/etc/ssh/ssh_host_*", "/var/lib/systemd/random-seed", "/var/lib/apt/lists/*", "/run/*"],
)
def test_identity_and_caches_go(path: str) -> None:
    assert path in _REMOVED


def test_machine_id_is_empty_and_not_absent() -> None:
    assert [step for step in CLEAN if isinstance(step, WriteFile)] == [
        WriteFile("/etc/machine-id", "", "0444", "each machine gets its own")
    ]
    assert not any(path.startswith("/etc/machine-id") for path in _REMOVED)


def test_no_step_can_name_the_root() -> None:
    assert all(step.path.startswith("/") and len(step.path.strip("/*")) > 2 for step in CLEAN)


def test_nothing_is_named_twice() -> None:
    assert len(set(_REMOVED)) == len(_REMOVED)
