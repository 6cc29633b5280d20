"""How space is shared out: by hand, by systemd-repart itself, and never wrongly."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from imaged.model.errors import CannotPlan
from imaged.model.size import GIB, MIB
from imaged.planning.sizes import OURS, REPART, Demand, Rules, allocate

_G, _M = GIB, MIB


def _demand(low: int = 0, high: int | None = None, weight: int = 1000, priority: int = 0) -> Demand:
    return Demand("p", low, high, weight, priority)


@pytest.mark.parametrize(
    ("space", "demands", "expected"),
    [
        (10 * _G, [_demand()], [10 * _G]),
        (10 * _G, [_demand(), _demand()], [5 * _G, 5 * _G]),
        (9 * _G, [_demand(weight=1), _demand(weight=8)], [_G, 8 * _G]),
        (10 * _G, [_demand(8 * _G), _demand()], [8 * _G, 2 * _G]),
        (10 * _G, [_demand(0, _G), _demand()], [_G, 9 * _G]),
        (10 * _G, [_demand(_G, _G, 0), _demand(weight=1), _demand(weight=2)], [_G, 3 * _G, 6 * _G]),
        (10 * _G, [_demand(_G, weight=0), _demand()], [_G, 9 * _G]),
        (10 * _G, [_demand(_G, weight=0)], [_G]),
        (10 * _G, [_demand(0, _G), _demand(0, _G)], [_G, _G]),
        (3 * _M, [_demand(), _demand()], [_M, 2 * _M]),
        (3 * _M, [_demand(weight=1), _demand(weight=2)], [_M, 2 * _M]),
        (10 * _M, [_demand(weight=3), _demand(weight=4)], [4 * _M, 6 * _M]),
        (10 * _M, [_demand(weight=3, high=5 * _M), _demand(weight=4, high=5 * _M)], [5 * _M, 5 * _M]),
        (8 * _G, [_demand(_G, weight=0), _demand(3 * _G, weight=1), _demand(3 * _G, weight=2)], [_G, 3 * _G, 4 * _G]),
        (8 * _G, [_demand(_G, _G), _demand(_G, weight=1), _demand(_G, weight=8)], [_G, _G, 6 * _G]),
        (10 * _M + 1, [_demand(1)], [10 * _M]),
        (2 * _M, [_demand(1), _demand(_M + 0)], [_M, _M]),
        (4 * _G, [_demand(3 * _G), _demand(2 * _G, priority=1)], [4 * _G, None]),
        (4 * _G, [_demand(2 * _G, priority=1), _demand(_G), _demand(2 * _G, priority=2)], [2 * _G, 2 * _G, None]),
        (4 * _G, [_demand(2 * _G, priority=1), _demand(2 * _G, priority=1), _demand(_G)], [None, None, 4 * _G]),
        (4 * _G, [_demand(2 * _G, priority=-5), _demand(2 * _G)], [2 * _G, 2 * _G]),
        (4 * _G, [], []),
    ],
)
def test_shares(space: int, demands: list[Demand], expected: list[int | None]) -> None:
    assert list(allocate(demands, space)) == expected


@pytest.mark.parametrize(
    ("space", "demands", "said"),
    [
        (_G, [_demand(2 * _G)], "1 GiB are missing (1073741824 bytes): 1 partition needs 2 GiB, there is room for"),
        (_G, [_demand(_G), _demand(1)], "1 MiB are missing (1048576 bytes): 2 partitions need"),
        (0, [_demand(1)], "1 MiB are missing"),
        (-5 * _M, [_demand(1)], "6 MiB are missing"),
        (_G, [_demand(2 * _G), _demand(priority=3)], "1 partition needs 2 GiB"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_how_many_bytes_are_missing(space: int, demands: list[Demand], said: str) -> None:
    with pytest.raises(CannotPlan) as caught:
        allocate(demands, space)
    assert said in caught.value.what


def test_the_minima_are_named() -> None:
    with pytest.raises(CannotPlan) as caught:
        allocate([Demand("esp", _G), Demand("root", 2 * _G, why="the image has 1 GiB")], _G)
    assert caught.value.hint == "esp: 1 GiB\n  root: 2 GiB (the image has 1 GiB)"


_DEMANDS = st.lists(
    st.builds(
        lambda low, more, weight, priority: Demand("p", low, None if more is None else low + more, weight, priority),
        st.integers(0, 600 * _M), st.none() | st.integers(0, 600 * _M), st.integers(0, 3000), st.integers(-2, 3),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(_DEMANDS, st.integers(-_G, 3 * _G), st.sampled_from((OURS, REPART, Rules(grain=4 * _M))))
def test_any_demands_are_met_within_bounds_or_refused(demands: list[Demand], space: int, rules: Rules) -> None:
    def low(demand: Demand) -> int:
        return -(-demand.min // rules.grain) * rules.grain

    try:
        sizes = allocate(demands, space, rules)
    except CannotPlan:
        assert sum(low(demand) for demand in demands if demand.priority <= 0) > space // rules.grain * rules.grain
        return
    kept = [(demand, size) for demand, size in zip(demands, sizes, strict=True) if size is not None]
    assert all(size % rules.grain == 0 and size >= low(demand) for demand, size in kept)
    assert all(demand.max is None or size <= max(demand.max, low(demand)) for demand, size in kept)
    assert all(demand.priority > 0 for demand, size in zip(demands, sizes, strict=True) if size is None)
    total = sum(size for _, size in kept)
    room = space // rules.grain * rules.grain
    assert total <= max(room, 0)
    if any(demand.max is None and demand.weight for demand, _ in kept):
        assert total == room


@given(_DEMANDS, st.integers(0, 2 * _G), st.integers(0, _G))
def test_more_room_never_leaves_more_out(demands: list[Demand], space: int, more: int) -> None:
    try:
        small = allocate(demands, space)
    except CannotPlan:
        return
    large = allocate(demands, space + more)
    assert all(after is not None or before is None for before, after in zip(small, large, strict=True))


_TAIL = 33 * 512  # the GPT's copy at the end
_BLOCK = 4096


@pytest.mark.processes
@pytest.mark.skipif(not shutil.which("systemd-repart"), reason="systemd-repart is not installed")
@given(demands=_DEMANDS, blocks=st.integers(0, 500_000))
@settings(max_examples=60, deadline=None, phases=[Phase.generate])
def test_systemd_repart_agrees(demands: list[Demand], blocks: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    size = 64 * MIB + blocks * _BLOCK  # libfdisk begins earlier than at 1 MiB on tiny disks
    demands = [_on_blocks(each) for each in demands]
    expected = _repart(demands, size, tmp_path_factory.mktemp("repart"))
    room = (size - _TAIL) // _BLOCK * _BLOCK - MIB
    try:
        ours = allocate(demands, room, REPART)
    except CannotPlan:
        assert expected is None
        return
    assert expected == [each for each in ours if each is not None]


def _on_blocks(demand: Demand) -> Demand:
    """repart.d(5) rounds a minimum down and a maximum up before it begins; ours never goes beyond what was asked."""
    low = max(demand.min // _BLOCK, 1) * _BLOCK
    high = None if demand.max is None else max(demand.max // _BLOCK * _BLOCK, low)
    return evolve(demand, min=low, max=high)


def _repart(demands: list[Demand], size: int, directory: Path) -> list[int] | None:
    """Sizes that systemd-repart would make of an empty disk, None when it refuses."""
    for index, each in enumerate(demands):
        lines = ["[Partition]", "Type=linux-generic", f"SizeMinBytes={each.min}", f"Weight={each.weight}"]
        lines += [f"SizeMaxBytes={each.max}"] if each.max is not None else []
        lines += [f"Priority={each.priority}"]
        (directory / f"{index}.conf").write_text("\n".join(lines) + "\n")
    image = directory / "disk.img"
    argv = (
        "systemd-repart", "--empty=create", f"--size={size}", f"--definitions={directory}", "--dry-run=yes",
        "--json=short", str(image),
    )  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    image.unlink(missing_ok=True)
    if done.returncode:
        assert "Can't fit" in done.stderr or "space" in done.stderr, done.stderr
        return None
    return [each["raw_size"] for each in json.loads(done.stdout)] if done.stdout.strip() else []
