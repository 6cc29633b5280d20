"""Carries out a recipe: packages from a repository into an empty working tree, then the steps that finish it."""

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from imaged import process
from imaged.binfmt import check_runs
from imaged.model.errors import CannotPlan, CommandFailed, ImagedError
from imaged.model.plan import RunInTarget
from imaged.model.recipe import Recipe
from imaged.origins import chroot
from imaged.planning import build_tools
from imaged.planning.build import BuildStep, LayOver, RunScript, contained, finish_steps, last_steps, unfit
from imaged.planning.clean import CLEAN
from imaged.store import edit, facts
from imaged.store.tree import Tree

_ENVIRONMENT = {**chroot.ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive"}


class Phases(Protocol):
    """Who watches a build."""

    def begin(self, name: str) -> None:
        """The phase before is done."""

    def detail(self, text: str) -> None:
        """What the phase works on just now."""


def fill(recipe: Recipe, tree: Tree, phases: Phases, log: TextIO) -> tuple[str, ...]:
    """Make the recipe's tree in the empty directory of ``tree``, fit to be sealed; ``log`` gets all output.

    Returns what a person should know although it stopped nothing. Raises CommandFailed, or CannotPlan for a tree that
    no machine could be installed from.
    """
    if recipe.arch:
        check_runs(recipe.arch)
    with _explained(log):
        phases.begin("start")
        failed = _bootstrap(recipe, tree, phases, log)
        phases.begin("finish")
        laid = tuple(path for source in recipe.overrides for path in _paths(Path(source)))
        _carry_out(tree, finish_steps(recipe, laid), phases, log)
        phases.begin("clean")
        _carry_out(tree, (*CLEAN, *last_steps(recipe)), phases, log)
        faults = unfit(facts.read(tree))
        if faults:
            raise CannotPlan("\n  ".join(faults), where=recipe.name, hint="Change the recipe and build again.")
    return tuple(f"a script of the package {package} failed; see {log.name}" for package in failed)


def _bootstrap(recipe: Recipe, tree: Tree, phases: Phases, log: TextIO) -> tuple[str, ...]:
    """The packages whose own scripts failed."""
    failed: list[str] = []

    def on_line(line: str) -> None:
        log.write(line + "\n")
        if phase := build_tools.phase_of(line):
            phases.begin(phase)
        phases.detail(build_tools.package_of(line))
        if package := build_tools.failed_script_of(line):
            failed.append(package)

    with _tool_room(recipe, tree) as brought:
        for argv in build_tools.bootstrap(recipe, str(tree.root)):
            with _known_as(argv):
                process.stream(brought(argv), on_line)
    return tuple(dict.fromkeys(failed))


@contextmanager
def _tool_room(recipe: Recipe, tree: Tree) -> Iterator[Callable[[Sequence[str]], tuple[str, ...]]]:
    """What a bootstrap's commands are brought in by. Debian's tools mount what they need themselves."""
    if not recipe.tool.rpm:
        yield contained
        return
    # rpm reads where its database is from the home directory; its packages' scripts want /dev and /proc.
    with tempfile.TemporaryDirectory(prefix="imaged-") as home, chroot.surroundings(tree):
        Path(home, ".rpmmacros").write_text(build_tools.RPM_MACROS)
        yield lambda argv: chroot.beside(tree, argv, {**_ENVIRONMENT, "HOME": home})


def _carry_out(tree: Tree, steps: Sequence[BuildStep], phases: Phases, log: TextIO) -> None:
    def run(step: RunInTarget) -> None:
        log.write(f"+ {shlex.join(step.argv)}\n")
        with _known_as(step.argv), chroot.surroundings(tree):
            done = process.run(chroot.inside(tree, step.argv, _ENVIRONMENT), stdin=step.stdin, timeout=step.timeout)
        log.write(done.output + done.errors)

    for step in steps:
        match step:
            case LayOver(source):
                edit.lay_over(tree, Path(source))
            case RunScript(source):
                phases.begin(Path(source).name)
                _run_script(tree, Path(source), log)
            case _:
                edit.apply(tree, step, run)


def _run_script(tree: Tree, source: Path, log: TextIO) -> None:
    """Its own interpreter in the tree runs it, by its first line."""

    def on_line(line: str) -> None:
        log.write(line + "\n")

    at = tree.root / f".imaged-{source.name}"
    shutil.copyfile(source, at)
    at.chmod(0o700)
    on_line(f"+ {source}")
    try:
        with _known_as((str(source),)), chroot.surroundings(tree):
            process.stream(chroot.inside(tree, (f"/{at.name}",), _ENVIRONMENT), on_line)
    finally:
        at.unlink()


@contextmanager
def _known_as(argv: Sequence[str]) -> Iterator[None]:
    """People know the program, not how it was brought into the tree."""
    try:
        yield
    except CommandFailed as error:
        raise CommandFailed(error.what, where=shlex.join(argv), hint=error.hint) from None


def _paths(source: Path) -> Iterator[str]:
    return ("/" + path.relative_to(source).as_posix() for path in source.rglob("*"))


@contextmanager
def _explained(log: TextIO) -> Iterator[None]:
    """A failure shows the command's last lines; the whole story is in the log."""
    try:
        yield
    except CommandFailed as error:
        log.write(f"{error}\n")
        hint = f"{error.hint}\n  The whole log: {log.name}".lstrip()
        raise CommandFailed(error.what, where=error.where, hint=hint) from None
    except OSError as error:  # a full disk, above all
        log.write(f"{error}\n")
        what, where = error.strerror or str(error), str(error.filename or "")
        raise ImagedError(what, where=where, hint=f"The whole log: {log.name}") from None
