"""``imaged buildimage``: a golden image from a recipe."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
from attrs import evolve

from imaged.cli.context import Context
from imaged.cli.ending import cleared_away
from imaged.cli.phases import Phases
from imaged.model.errors import Denied
from imaged.model.names import DEFAULT_CHANNEL, channel_name, image_name
from imaged.model.recipe import LOCKED, Recipe
from imaged.model.size import format_size
from imaged.origins import bootstrap
from imaged.planning.build import doubtful
from imaged.store import recipes
from imaged.store.tree import Tree


@click.command("buildimage")
@click.argument("recipe")
@click.option("--name", help="Name of the image, instead of the recipe's.")
@click.option(
    "--root-key", "keys", multiple=True, type=click.Path(path_type=Path),
    help="A file of ssh public keys that may log in as root. May be given again.",
)  # fmt: skip
@click.option("--root-password-hash", "password", help="A crypt(5) hash, instead of the recipe's password.")
@click.option("--mirror", help="URL of a package archive, instead of the recipe's.")
@click.option("--channel", default=DEFAULT_CHANNEL, show_default=True, help="The channel to move to the new version.")
@click.pass_obj
def command(
    context: Context, recipe: str, name: str | None, keys: tuple[Path, ...], password: str | None,
    mirror: str | None, channel: str,
) -> None:  # fmt: skip
    """Build a golden image from RECIPE (a file, or a shipped one's name such as debian-12), seal and publish it."""
    channel_name(channel)
    wanted = _wanted(recipes.read(recipe, mirror=mirror), name, keys, password)
    if os.geteuid() != 0:
        raise Denied("only root can build an image: its files belong to many users", hint="Run it with sudo.")
    os.umask(0o022)  # the bootstraps, and programs in the tree, make directories that everybody must enter
    images = context.desk.images
    with (
        cleared_away(),
        images.working(wanted.name) as working,
        _log(context.state.logs, wanted.name) as log,
        Phases() as phases,
    ):
        warnings = bootstrap.fill(wanted, Tree(working.tree), phases, log)
        phases.begin("seal")
        origin = f"{wanted.tool.value} {wanted.suite}"
        version = images.seal(working, origin=origin, recipe=recipe, on_hashed=phases.count)
    images.publish(version, channel)
    click.echo(
        f"{version.ref} is {channel} now: {format_size(version.bytes)} in {version.entries} entries, "
        f"{version.facts.os_name or 'unknown system'}, {version.facts.arch}"
    )
    for warning in (*warnings, *doubtful(version.facts)):
        click.echo(f"{warning[0].upper()}{warning[1:]}.", err=True)
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


@contextmanager
def _log(directory: Path, name: str) -> Iterator[TextIO]:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"buildimage-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.log"
    with path.open("w", encoding="utf-8", buffering=1) as log:
        yield log
