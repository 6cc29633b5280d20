"""Looking at arrays without starting them: what an inventory of a machine that is not installed may do."""

import pytest

from installer import storage
from installer.process import Completed
from tests.installer.test_found import ROOT


@pytest.mark.parametrize("start", [True, False])
def test_no_array_is_started_for_a_look_that_touches_nothing(start: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No array is here: udev would name the members."""
    monkeypatch.setattr(storage.udev, "holding", lambda _: ("/dev/sdx1", "/dev/sdx2"))
    ran: list[tuple[str, ...]] = []

    def run(argv: tuple[str, ...], **_: object) -> Completed:
        ran.append(argv)
        return Completed(argv, 0, ROOT if "--examine" in argv else "", "")

    found = tuple(storage.arrays(run, start=start).values())
    assert [(each.name, each.devices, each.size) for each in found] == [("root", ("/dev/sdx1", "/dev/sdx2"), 0)]
    assert any("--assemble" in argv for argv in ran) is start
