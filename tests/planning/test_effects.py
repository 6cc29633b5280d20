"""Which nodes become what by a change of their groups."""

from attrs import evolve

from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.planning.effects import Effect, effects, told

NODE = Node(
    "n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef("a"), variables={"row": "7", "x": "1"}, groups=("all", "gpu")
)


def test_like_changes_are_one() -> None:
    plain, other = told(NODE), told(evolve(NODE, image=ImageRef("b"), groups=("all",)))
    left = told(evolve(NODE, console="ttyS0", variables={"x": "1"}, groups=("gpu", "all")))
    assert effects({"n1": plain, "n2": plain, "n3": other}, {"n1": left, "n2": left, "n3": other}) == (
        Effect("console", "", "ttyS0", ("n1", "n2")),
        Effect("groups", "all gpu", "gpu all", ("n1", "n2")),
        Effect("var.row", "7", "", ("n1", "n2")),
    )
    assert effects({"n1": plain}, {"n1": other}) == (
        Effect("image", "a@stable", "b@stable", ("n1",)),
        Effect("groups", "all gpu", "all", ("n1",)),
    )
    assert effects({"n1": plain}, {"n1": plain}) == ()
