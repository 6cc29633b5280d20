"""Scripts by their names: which run on a node, and in which order."""

import pytest

from imaged.planning.scripts import Choice, Chosen, choose, chosen

NAMES = [
    ((), Choice(())),
    (("20all.b", "10all.a", "5all.c", "100all.d"), Choice(("5all.c", "10all.a", "20all.b", "100all.d"))),
    (("99all.last", "10n1.x", "10gpu.x", "10lab.x", "10compute.x"),
     Choice(("99all.last", "10compute.x", "10lab.x", "10gpu.x", "10n1.x"))),
    (("10all.a~", ".10all.b.swp", "10n2.x", "10other.y"), Choice(())),
    (("10compute-1.2.x",), Choice(())),
    (("README", "all.x", "10all"), Choice((), ("10all", "README", "all.x"))),
    (("10All.x",), Choice((), ("10All.x",))),
]  # fmt: skip


@pytest.mark.parametrize(("names", "wanted"), NAMES)
def test_selection_and_order(names: tuple[str, ...], wanted: Choice) -> None:
    assert choose(names, "compute", ("lab", "gpu"), "n1") == wanted


def test_names_with_dots_and_digits_are_found() -> None:
    assert choose(("10debian-12.5.x",), "debian-12.5", (), "n1").run == ("10debian-12.5.x",)
    assert choose(("101a.x",), "compute", (), "1a").run == ("101a.x",)


def test_a_script_that_fits_two_classes_runs_once() -> None:
    assert choose(("10same.x",), "same", ("same",), "same").run == ("10same.x",)


def test_each_is_said_with_its_class() -> None:
    assert chosen(("20n1.d", "10all.a", "10gpu.c", "10same.b", "10no.x"), "same", ("same", "gpu"), "n1") == (
        Chosen("10all.a", "all"),
        Chosen("10same.b", "image/same"),
        Chosen("10gpu.c", "group/gpu"),
        Chosen("20n1.d", "node/n1"),
    )
