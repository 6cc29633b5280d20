"""The site's own scripts: before the first write in the ramdisk, after the fixups in the node's own tree."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from imaged.model.errors import BadInput, CommandFailed, ImagedError
from imaged.model.plan import RunInTarget, RunScript
from installer.chroot import run_in_target
from installer.process import Run
from installer.tree import inside, replace

RUN = Path("/run/imaged")  # memory, seen from inside the target as well: a script never reaches a disk
NOTES = "pre-install_variables.txt"  # what pre-install scripts hand on to those after them
_OLD_NOTES = Path("/tmp") / NOTES  # SystemImager's place for it
_OLD_VARIABLES = "/tmp/post-install/variables.txt"  # SystemImager's scripts source it
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OURS = re.compile(r"IMAGED_.*|DISK\d+", re.ASCII)


def run_script(
    step: RunScript, root: Path, run: Run, home: Path = RUN, notes: tuple[Path, ...] = (RUN / NOTES, _OLD_NOTES)
) -> None:
    """Run it to its end with the step's variables and those that pre-install scripts left in ``notes``.

    ``home`` must be below /run where the target shares it. Raises CommandFailed with the script's last lines, and
    BadInput for notes that nobody can read.
    """
    _prove_interpreter(step, root)
    path = home / "scripts" / step.name
    variables = {**_handed_on(notes, step.variables), **step.variables, "IMAGED_VARIABLES": str(notes[0])}
    replace(path, step.content.encode(), 0o700)
    try:
        if step.in_target:
            with _variables_file(root, variables):
                run_in_target(RunInTarget((str(path),), timeout=step.timeout), root, run, variables)
        else:
            notes[0].parent.mkdir(parents=True, exist_ok=True)
            run((str(path),), env={**os.environ, "LC_ALL": "C", **variables}, timeout=step.timeout)
            _handed_on(notes, step.variables)  # what is wrong in them is said before anything is wiped
    except CommandFailed as error:  # step and script are named already; its path in the ramdisk helps nobody
        raise CommandFailed(error.what, hint=error.hint) from None
    finally:
        path.unlink(missing_ok=True)


def noted(text: str, where: str) -> dict[str, str]:
    """Assignments as a shell reads them, with or without ``export``. Raises BadInput naming the line."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = [word for word in shlex.split(line, comments=True) if word != "export"]
        except ValueError as error:
            raise BadInput(f"{error}", where=f"{where}, line {number}") from None
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not _NAME.fullmatch(name):
                raise BadInput(f"{word[:40]!r} is not NAME=value", where=f"{where}, line {number}")
            found[name] = value
    return found


def _handed_on(notes: tuple[Path, ...], known: Mapping[str, str]) -> dict[str, str]:
    """What the notes say. They cannot change what the plan was made from, so they may not pretend to."""
    found: dict[str, str] = {}
    for path in notes:
        with suppress(FileNotFoundError):
            said = noted(path.read_text(encoding="utf-8", errors="replace"), str(path))
            for name in said:
                if name in known or _OURS.fullmatch(name):
                    raise BadInput(
                        f"{name} is the plan's and cannot be changed by a script", where=str(path),
                        hint="Hand it on under another name.",
                    )  # fmt: skip
            found.update(said)
    return found


def _prove_interpreter(step: RunScript, root: Path) -> None:
    """The kernel only says that there is no such file, of the script."""
    first, _, _ = step.content.partition("\n")
    words = first.removeprefix("#!").split()
    program = words[0] if first.startswith("#!") and words else ""
    if not program.startswith("/"):
        raise BadInput(f"its first line {first[:40]!r} names no program that runs it", hint="Begin it with #!/bin/sh.")
    place = inside(root, program) if step.in_target else Path(program)
    if not place.is_file():
        where = "the image" if step.in_target else "the boot ramdisk (it has sh and python3)"
        raise ImagedError(f"{program}, which is to run it, is not in {where}")


@contextmanager
def _variables_file(root: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Where SystemImager's scripts look for them, as long as one runs."""
    path = inside(root, _OLD_VARIABLES)
    if not path.parent.parent.is_dir() or path.exists():
        yield
        return
    there = path.parent.exists()
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    replace(path, text.encode(), 0o600)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if not there:
            with suppress(OSError):
                path.parent.rmdir()
