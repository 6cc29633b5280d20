"""What the overview shows of which nodes, by table."""

import pytest

from imaged.model.life import Life
from imaged.model.node import BootAction, NodeState
from imaged.planning.course import Course, Standing
from imaged.web.overview import FEW, MOST, Asked, overview

GROUPS = {"all": ("n1", "n2", "n10"), "rack2": ("n10",), "rack1": ("n2",), "empty": ()}


def site(**standings):
    courses = {
        name: Course(name, standing, percent=50.0 if standing is Standing.INSTALLING else None)
        for name, standing in standings.items()
    }
    return {name: Life(name, NodeState.READY) for name in standings}, courses


SITE = site(n2=Standing.READY, n10=Standing.FAILED, n1=Standing.INSTALLING, n3=Standing.DEFINED)


def shown(page):
    """Group -> names of its lines, None for one that is folded."""
    return {
        block.value.group: [row.value.name for row in block.rows] if block.value.open else None for block in page.groups
    }


@pytest.mark.parametrize(
    ("asked", "wanted", "groups", "urgent"),
    [
        (Asked(), None, {"all": ["n1"], "empty": [], "rack1": ["n2"], "rack2": ["n10"], "": ["n3"]}, ["n10"]),
        (Asked(open="-"), None, {"all": None, "empty": None, "rack1": None, "rack2": None, "": None}, ["n10"]),
        (Asked(open="all,."), None, {"all": ["n1"], "empty": None, "rack1": None, "rack2": None, "": ["n3"]}, ["n10"]),
        (Asked(open="!all,."), None, {"all": None, "empty": [], "rack1": ["n2"], "rack2": ["n10"], "": None}, ["n10"]),
        (Asked(open="nothing"), None, {"all": None, "empty": None, "rack1": None, "rack2": None, "": None}, ["n10"]),
        (Asked(state="ready"), None, {"rack1": ["n2"]}, []),
        (Asked(nodes="n[1-2]"), {"n1", "n2"}, {"all": ["n1"], "rack1": ["n2"]}, []),
        (Asked(nodes="n[1-2]", state="failed"), {"n1", "n2"}, {}, []),
        (Asked(skip=1), None, {"all": [], "empty": [], "rack1": ["n2"], "rack2": ["n10"], "": ["n3"]}, ["n10"]),
    ],
)
def test_which_nodes_are_shown(asked, wanted, groups, urgent):
    page = overview(*SITE, GROUPS, asked, wanted)
    assert shown(page) == groups
    assert [row.value.name for row in page.urgent.rows] == urgent


def test_counts():
    page = overview(*SITE, GROUPS, Asked(nodes="n[1-2]"), {"n1", "n2"})
    assert page.summary.value.total == 2
    assert page.summary.value.counts == (
        ("installing", 1, "/?nodes=n%5B1-2%5D&state=installing"),
        ("ready", 1, "/?nodes=n%5B1-2%5D&state=ready"),
    )
    assert (page.groups[0].value.counts, page.groups[0].value.percent) == ((("installing", 1),), 50)
    assert overview({}, {}, {}, Asked()).nothing


@pytest.mark.parametrize(
    ("asked", "toggles"),
    [
        (Asked(), {"all": "!all", "": "!."}),
        (Asked(open="-"), {"all": "all", "": "."}),
        (Asked(open="all"), {"all": "-", "rack1": "all,rack1"}),
        (Asked(open="!all"), {"all": "*", "rack1": "!all,rack1"}),
    ],
)
def test_what_a_click_on_a_group_leads_to(asked, toggles):
    found = {block.value.group: block.value.toggle for block in overview(*SITE, GROUPS, asked).groups}
    for group, spelled in toggles.items():
        assert found[group] == Asked(open=spelled).href


def test_many_nodes_are_folded_and_a_page_ends():
    names = [f"n{number}" for number in range(MOST + 5)]
    lives, courses = site(**dict.fromkeys(names, Standing.READY))
    groups = {"a": names[:3], "b": names[3:]}
    assert shown(overview(lives, courses, groups, Asked())) == {"a": None, "b": None}
    first = overview(lives, courses, groups, Asked(open="*"))
    assert [len(block.rows) for block in first.groups] == [3, MOST - 3]
    assert (first.groups[1].value.more, first.groups[1].value.rest) == (5, Asked(open="*", skip=MOST).href)
    rest = overview(lives, courses, groups, Asked(open="*", skip=MOST))
    assert shown(rest) == {"a": [], "b": names[MOST:]}
    assert rest.back == Asked(open="*").href
    few = dict(list(courses.items())[:FEW])
    assert shown(overview(lives, few, groups, Asked()))["a"] == names[:3]


def test_a_line_says_what_is_on_its_way():
    course = Course("n1", Standing.INSTALLING, "transfer", 26.4, 1.5 * 2**20, 131.0, message="c@3")
    life = Life("n1", NodeState.INSTALLING, BootAction.INSTALL, installed="c@2", installing="c@3", last_seen=5.5)
    page = overview({"n1": life}, {"n1": course}, {}, Asked())
    line = page.groups[0].rows[0].value
    assert (line.percent, line.speed, line.left, line.seen) == (26, "1.5 MiB/s", "2 min", 5)
    assert (line.has, line.to) == ("c@2", "c@3")
