"""Machines of SystemImager's among ours: every status it has, its errors, its silence."""

import pytest
from attrs import evolve

from imaged.model.foreign import Foreign
from imaged.model.net import Mac
from imaged.planning.course import Standing
from imaged.planning.foreign import course, said, updated
from imaged.wire.systemimager import Said, Update

S = Standing
KNOWN = Foreign(Mac.parse("52:54:00:00:00:01"), 100.0, 100.0, "old7", "10.0.0.7", "oscar", speed=2048.0)


@pytest.mark.parametrize(
    ("status", "silent", "expected"),
    [
        (0, 10, (S.INSTALLING, "claim", 0, None, "SystemImager: oscar")),
        (37.5, 10, (S.INSTALLING, "transfer", 37.5, 2048.0, "SystemImager: oscar")),
        (37.5, 91, (S.STALLED, "transfer", 37.5, None, "SystemImager: nothing heard for 91 s")),
        (100, 10, (S.INSTALLING, "imaged", 100, None, "SystemImager: oscar")),
        (101, 899, (S.INSTALLING, "finalizing", 100, None, "SystemImager: oscar")),
        (101, 901, (S.STALLED, "finalizing", 100, None, "SystemImager: nothing heard for 15 min")),
        (102, 80_000, (S.READY, "", None, None, "SystemImager: oscar")),
        (103, 80_000, (S.WAITING, "beeping", 100, None, "SystemImager: oscar")),
        (104, 1000, (S.BOOTING, "boot", 100, None, "SystemImager: oscar")),
        (104, 1201, (S.STALLED, "boot", 100, None, "SystemImager: nothing heard for 20 min")),
        (105, 80_000, (S.READY, "switched off", None, None, "SystemImager: oscar")),
        (106, 80_000, (S.WAITING, "shell", 100, None, "SystemImager: oscar")),
        (107, 1, (S.INSTALLING, "extracting", 100, None, "SystemImager: oscar")),
        (108, 1, (S.INSTALLING, "pre-install", 100, None, "SystemImager: oscar")),
        (109, 1, (S.INSTALLING, "post-install", 100, None, "SystemImager: oscar")),
        (110, 1, (S.INSTALLING, "status 110", 100, None, "SystemImager: oscar")),
        (-1, 80_000, (S.FAILED, "", 0, None, "SystemImager: error -1")),
    ],
)
def test_every_status(status, silent, expected):
    seen = course(evolve(KNOWN, status=float(status)), 100.0 + silent)
    assert (seen.standing, seen.phase, seen.percent, seen.speed, seen.message) == expected
    assert (seen.node, seen.seen, seen.foreign) == ("old7", silent, True)


def test_what_is_said_is_kept():
    told = updated(KNOWN, Update(status=5.0, host="new7"), 200.0)
    assert told == evolve(KNOWN, last_seen=200.0, status=5.0, host="new7")
    told = said(told, Said("local0.err", "no disk"), 210.0)
    told = said(told, Said("local0.info", "giving up"), 211.0)
    told = updated(told, Update(status=-1.0), 212.0)
    assert course(told, 213.0).message == "SystemImager: no disk"
    assert updated(told, Update(status=0.0), 300.0).trouble == ""


def test_a_machine_without_a_name_and_an_image():
    seen = course(Foreign(KNOWN.mac, 1.0, 1.0), 2.0)
    assert (seen.node, seen.message) == ("52:54:00:00:00:01", "SystemImager")
