"""What a plan says, in a form to compare, and what it makes of a tree."""

import shlex
import subprocess
from pathlib import Path
from typing import Any, TypeVar

from imaged.model.plan import InstallPlan, RemovePath, RunInTarget, Step, WriteFile
from installer import tree

T = TypeVar("T")


def steps_of(install: InstallPlan, kind: type[T]) -> list[T]:
    return [step for phase in install.phases for step in phase.steps if isinstance(step, kind)]


def written(steps: Any) -> dict[str, str]:
    return {step.path: step.content for step in steps if isinstance(step, WriteFile)}


def commands(install: InstallPlan) -> list[str]:
    return [shlex.join(step.argv) for step in steps_of(install, RunInTarget)]


def carry_out(steps: tuple[Step, ...], root: Path) -> None:
    """On a tree, by the installer's own functions; of programs only those that make directories and copies."""
    for step in steps:
        match step:
            case WriteFile():
                tree.write_file(step, root)
            case RemovePath():
                tree.remove_path(step, root)
            case RunInTarget(argv=("mkdir" | "cp" as program, *words)):
                inside = [f"{root}{word}" if word.startswith("/") else word for word in words]
                subprocess.run((program, *inside), check=True)
