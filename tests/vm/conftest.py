"""What whole installs need: a state directory with the demo's image and ramdisk, root, QEMU, a rehearsal per test."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from datetime import date
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

import pytest
from attrs import evolve

from imaged.model.settings import Settings
from imaged.qemu.accel import accelerator
from imaged.qemu.options import Accel
from imaged.rehearsal.rehearsal import Rehearsal
from tests.vm import table

STATE = "IMAGED_VM_STATE"
_LONG, _LONGEST = 2400, 7200  # seconds, on two cores without KVM


def pytest_configure(config: pytest.Config) -> None:
    """``matrix`` is a word of this directory only."""
    config.addinivalue_line("markers", "matrix: part of the long matrix of whole installs (IMAGED_VM=all)")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the table of what was run goes."""
    parser.addoption("--matrix", metavar="FILE", type=Path, help="keep a table of the installs that ran in FILE")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One line of the table for each test here that ran: what it was, how it ended, how long it took."""
    report = yield
    file = item.config.getoption("--matrix", default=None)
    if file and report.when == "call" and report.outcome in ("passed", "failed"):
        name = report.nodeid.partition("::")[2]
        table.note(file, table.Row(name, report.outcome, round(report.duration), date.today().isoformat()))
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything here installs machines; what is marked ``matrix`` is there only when the long matrix is asked for."""
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.vm)
        item.add_marker(pytest.mark.timeout(_LONGEST if item.get_closest_marker("matrix") else _LONG))
    if os.environ.get("IMAGED_VM") != "all":
        long = [item for item in mine if item.get_closest_marker("matrix")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def site() -> Settings:
    """Settings of the demo: its state directory has the image and the boot ramdisk."""
    state = os.environ.get(STATE)
    if not state:
        pytest.skip(f"{STATE} names no state directory with image and ramdisk (make test does)")
    if os.geteuid() != 0:
        pytest.skip("a rehearsal needs root")
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is not installed")
    return Settings(address=IPv4Address("127.0.0.1"), state=PurePosixPath(Path(state).resolve()))


@pytest.fixture(scope="session")
def accel(site: Settings) -> Accel:
    """Found out once: it takes some seconds where KVM pretends."""
    return accelerator(Path(site.state) / "boot")


@pytest.fixture
def rehearse(site: Settings, accel: Accel, tmp_path: Path) -> Iterator[Callable[..., Rehearsal]]:
    """``rehearse()`` is a rehearsal with its daemon running; ``state`` takes it from another state directory."""
    with ExitStack() as stack:

        def begin(state: Path | None = None) -> Rehearsal:
            settings = evolve(site, state=PurePosixPath(state)) if state else site
            key = Path(site.state) / "key"
            rehearsal = stack.enter_context(Rehearsal(settings, logs=tmp_path / "logs", ssh_key=key, accel=accel))
            rehearsal.start_daemon()
            return rehearsal

        yield begin
