"""What a plan says, in a form to compare, and what it makes of a tree."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from imaged.model.plan import CopyFile, InstallPlan, MoveFile, RemovePath, RunInTarget, Step, WriteFile
from imaged.model.uefi import InstallGrub
from installer import esp, tree
from tests.nasty.programs import run

T = TypeVar("T")


def every_step(install: InstallPlan) -> list[Step]:
    return [step for phase in install.phases for step in phase.steps]


def steps_of(install: InstallPlan, kind: type[T]) -> list[T]:
    return [step for step in every_step(install) if isinstance(step, kind)]


def written(steps: Any) -> dict[str, str]:
    return {step.path: step.content for step in steps if isinstance(step, WriteFile)}


def commands(install: InstallPlan) -> list[str]:
    return [shlex.join(step.argv) for step in every_step(install) if isinstance(step, RunInTarget | InstallGrub)]


def carry_out(steps: Iterable[Step], root: Path, programs: tuple[str, ...] = ("mkdir",)) -> None:
    """On a tree, by the installer's own functions; of programs only those named."""
    for step in steps:
        match step:
            case WriteFile():
                tree.write_file(step, root)
            case CopyFile():
                esp.copy_file(step, root)
            case MoveFile():
                tree.move_file(step, root)
            case RemovePath():
                tree.remove_path(step, root)
            case RunInTarget(argv=(program, *words)) if program in programs:
                inside = [f"{root}{word}" if word.startswith("/") else word for word in words]
                run(program, *inside)
