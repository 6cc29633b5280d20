"""``imaged buildimage``: a golden image from a recipe."""

import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
from attrs import evolve
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from imaged import process
from imaged.cli.context import Context
from imaged.model.errors import CannotPlan, CommandFailed, Denied, ImagedError
from imaged.model.image import Version
from imaged.model.names import DEFAULT_CHANNEL, channel_name, image_name
from imaged.model.plan import RunInTarget
from imaged.model.recipe import LOCKED, Recipe
from imaged.model.size import format_size
from imaged.planning.build import (
    BuildStep,
    bootstrap_argv,
    contained,
    finish_steps,
    package_of,
    phase_of,
    unfit,
)
from imaged.planning.clean import CLEAN
from imaged.store import edit, facts, recipes
from imaged.store.images import Images, Working
from imaged.store.tree import Tree

_IN_TREE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_OFFLINE": "1",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


@click.command("buildimage")
@click.argument("recipe")
@click.option("--name", help="Name of the image, instead of the recipe's.")
@click.option(
    "--root-key", "keys", multiple=True, type=click.Path(path_type=Path),
    help="A file of ssh public keys that may log in as root. May be given again.",
)  # fmt: skip
@click.option("--root-password-hash", "password", help="A crypt(5) hash, instead of the recipe's password.")
@click.option("--channel", default=DEFAULT_CHANNEL, show_default=True, help="The channel to move to the new version.")
@click.pass_obj
def command(
    context: Context, recipe: str, name: str | None, keys: tuple[Path, ...], password: str | None, channel: str
) -> None:
    """Build a golden image from RECIPE (a file, or a shipped one's name such as debian-12), seal and publish it."""
    channel_name(channel)
    wanted = _wanted(recipes.read(recipe), name, keys, password)
    if os.geteuid() != 0:
        raise Denied("only root can build an image: its files belong to many users", hint="Run it with sudo.")
    os.umask(0o022)  # the bootstraps, and programs in the tree, make directories that everybody must enter
    images = Images(context.state.images)
    with images.working(wanted.name) as working, _log(context.state.logs, wanted.name) as log:
        version = _build(wanted, recipe, images, working, log)
    images.publish(version, channel)
    click.echo(
        f"{version.ref} is {channel} now: {format_size(version.bytes)} in {version.entries} entries, "
        f"{version.facts.os_name or 'unknown system'}, {version.facts.arch}"
    )
    if wanted.root.password == LOCKED and not wanted.root.authorized_keys:
        click.echo("Nobody can log in to it as root: give --root-key or --root-password-hash.", err=True)


def _wanted(recipe: Recipe, name: str | None, keys: tuple[Path, ...], password: str | None) -> Recipe:
    """The recipe with what the command line adds to it."""
    root = evolve(
        recipe.root,
        password=recipes.password_hash(password) if password else recipe.root.password,
        authorized_keys=(*recipe.root.authorized_keys, *(key for path in keys for key in recipes.public_keys(path))),
    )
    return evolve(recipe, name=image_name(name) if name else recipe.name, root=root)


def _build(recipe: Recipe, source: str, images: Images, working: Working, log: TextIO) -> Version:
    tree = Tree(working.tree)
    with _Phases() as phases, _explained(log):
        phases.begin("start")
        process.stream(bootstrap_argv(recipe, str(working.tree)), _follow(phases, log))
        phases.begin("finish")
        _apply_all(tree, finish_steps(recipe), log)
        phases.begin("clean")
        _apply_all(tree, CLEAN, log)
        faults = unfit(facts.read(tree))
        if faults:
            raise CannotPlan("\n  ".join(faults), where=recipe.name, hint="Change the recipe and build again.")
        phases.begin("seal")
        return images.seal(working, origin=f"{recipe.tool.value} {recipe.suite}", recipe=source, on_hashed=phases.count)


def _apply_all(tree: Tree, steps: tuple[BuildStep, ...], log: TextIO) -> None:
    def run(step: RunInTarget) -> None:
        log.write(f"+ {shlex.join(step.argv)}\n")
        argv = contained(step.argv, root=str(tree.root))
        done = process.run(argv, stdin=step.stdin, env=_IN_TREE, timeout=step.timeout)
        log.write(done.output + done.errors)

    for step in steps:
        edit.apply(tree, step, run)


def _follow(phases: "_Phases", log: TextIO) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        log.write(line + "\n")
        phase = phase_of(line)
        if phase:
            phases.begin(phase)
        phases.detail(package_of(line))

    return on_line


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


@contextmanager
def _log(directory: Path, name: str) -> Iterator[TextIO]:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"buildimage-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.log"
    with path.open("w", encoding="utf-8", buffering=1) as log:
        yield log


class _Phases:
    """One line per phase with its seconds, the present one moving. Without a terminal: one line as each begins."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description:<18}"), TimeElapsedColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[detail]}"), console=self._console)
        self._task: TaskID | None = None
        self._name = ""
        self._count = 0

    def __enter__(self) -> "_Phases":
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()
        self._progress.stop()

    def begin(self, name: str) -> None:
        """The phase before is done."""
        if name == self._name:
            return
        self._finish()
        self._name = name
        if self._console.is_terminal:
            self._task = self._progress.add_task(name, total=1, detail="")
        else:
            self._console.print(f"{name} ...", highlight=False)

    def detail(self, text: str) -> None:
        """What the phase works on just now."""
        if self._task is not None and text:
            self._progress.update(self._task, detail=text)

    def count(self, more: int) -> None:
        """So many more files are hashed."""
        self._count += more
        self.detail(f"{self._count} files")

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=1, detail="")
