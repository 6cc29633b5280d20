"""What is kept as files and not in the database is changed with an event, too: images, channels, layouts."""

from imaged.admin import images
from imaged.admin.desk import Desk
from imaged.model.names import ImageRef
from imaged.store import layouts
from imaged.store.events import Events, speaking_as
from tests.admin.site import desk, fill_image

__all__ = ["desk"]


def told(desk: Desk, subject: str) -> list[tuple[str, str, dict[str, object], dict[str, object]]]:
    return [(each.who, each.what, each.before, each.after) for each in Events(desk.engine).last(99, (subject,))]


def test_every_change_of_an_image_is_told_by_whom_and_from_what_to_what(desk: Desk) -> None:
    with speaking_as("ada"):
        fill_image(desk, "other")
        images.publish(desk, ImageRef.parse("other@2"), "stable")  # as it is: nothing changes
        images.publish(desk, ImageRef.parse("other@1"), "canary")
        images.roll_back(desk, ImageRef.parse("other@stable"))
        images.remove(desk, ["other@2"])
        images.rename(desk, "other", "another")
        images.remove(desk, ["another"])
    assert told(desk, "other") == [
        ("ada", what, before, after)
        for what, before, after in (
            ("version made", {}, {"version": "other@1", "origin": "test"}),
            ("channel moved", {}, {"stable": 1}),
            ("version made", {}, {"version": "other@2", "origin": "test"}),
            ("channel moved", {"stable": 1}, {"stable": 2}),
            ("channel moved", {}, {"canary": 1}),
            ("channel moved", {"stable": 2}, {"stable": 1}),
            ("version removed", {"version": "other@2"}, {}),
            ("image renamed", {"name": "other"}, {"name": "another"}),
        )
    ]
    gone = {"versions": [1], "channels": {"canary": 1, "stable": 1}}
    assert told(desk, "another") == [("ada", "image removed", gone, {})]


def test_a_layout_that_is_written_is_told_by_its_hash(desk: Desk) -> None:
    note = Events(desk.engine).change
    for text in ("one: 1\n", "one: 1\n", "two: 2\n"):
        layouts.write(desk.state.layouts, "mine", text, note)
    (made, changed) = told(desk, "mine")
    assert (made[1], made[2], changed[2]) == ("layout written", {}, made[3])
    assert changed[3] != made[3]
