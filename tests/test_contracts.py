"""The agreements that no single test can hold: who imports whom, style, types, and what every module begins with."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes
_ROOT = Path(__file__).parents[1]
_MODULES = sorted([*_ROOT.glob("imaged/**/*.py"), *_ROOT.glob("installer/**/*.py")])
_MOST_LINES = 400
_IMPORT_LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"
_VERMIN = "from vermin import main; main()"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", _IMPORT_LINTER),
        ("-m", "ruff", "check", "."),
        ("-m", "ruff", "format", "--check", "."),
        ("-m", "mypy"),
    ],
    ids=["imports", "lint", "format", "types"],
)
def test_the_judges_agree(arguments: tuple[str, ...]) -> None:
    _run(*arguments)


def test_what_stays_on_a_node_runs_on_python_3_6() -> None:
    """RHEL 8 nodes have 3.6; an empty package proves nothing."""
    if all(path.name == "__init__.py" for path in _ROOT.glob("installer/node/**/*.py")):
        pytest.skip("installer/node has no modules yet")
    _run("-c", _VERMIN, "--target=3.6-", "--violations", "--no-tips", "installer/node")


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_a_module_begins_with_its_law_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    law = ast.get_docstring(ast.parse(text))
    assert law, "the first line of a module says what may live in it"
    assert len(text.splitlines()) <= _MOST_LINES


@pytest.mark.parametrize("path", [p for p in _MODULES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_a_package_is_a_docstring_and_nothing_else(path: Path) -> None:
    if path == _ROOT / "imaged/__init__.py":
        pytest.skip("it has the version")
    assert len(ast.parse(path.read_text(encoding="utf-8")).body) == 1


def _run(*arguments: str) -> None:
    done = subprocess.run(
        (sys.executable, *arguments), cwd=_ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
