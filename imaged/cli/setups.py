"""The options that say what nodes run and how they are laid out; the same for nodes and for groups."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from imaged.admin.ranges import folded
from imaged.model.errors import BadInput
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.node import Node
from imaged.model.setup import Setup
from imaged.planning.effects import Effect

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """Of verbs that define; ``take`` reads them."""
    for option in reversed(
        (
            click.option("--image", help="NAME, NAME@CHANNEL or NAME@VERSION."),
            click.option("--layout", help="Disk layout; one-disk where nobody says one."),
            click.option("--console", help="Serial console, such as ttyS0,115200; none: none whatever groups say."),
            click.option(
                "--var", "pairs", multiple=True, metavar="NAME=TEXT", help="For templates: var.NAME; repeat for more."
            ),
        )
    ):
        command = option(command)
    return command


def changing(command: F) -> F:
    """Of verbs that change; ``take`` reads them."""
    for option in reversed(
        (
            click.option("--image", help="NAME, NAME@CHANNEL or NAME@VERSION, for the next install or update; empty: "
                         "no longer said here."),
            click.option("--layout", help="Disk layout of the next install; empty: no longer said here."),
            click.option("--console", help="Serial console, such as ttyS0,115200; none: none whatever groups say; "
                         "empty: no longer said here."),
            click.option("--var", "pairs", multiple=True, metavar="NAME=TEXT", help="For templates: var.NAME; repeat "
                         "for more."),
            click.option("--no-var", "gone", multiple=True, metavar="NAME", help="No longer said here; repeat for "
                         "more."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def take(given: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a SetupChanges or Setup for what was given of the options, which are taken out. Raises BadInput."""
    pairs = [text.partition("=") for text in given.pop("pairs")]
    wrong = next((name for name, equals, _ in pairs if not equals), None)
    if wrong is not None:
        raise BadInput(f"{wrong!r} is not NAME=TEXT", where="--var")
    variables: dict[str, str | None] = dict.fromkeys(given.pop("gone", ()))
    variables |= {name: text for name, _, text in pairs}
    said = {key: text for key in ("image", "layout", "console") if (text := given.pop(key)) is not None}
    if "image" in said:
        said["image"] = ImageRef.parse(said["image"]) if said["image"] else NO_IMAGE
    return said | ({"variables": variables} if variables else {})


def said(setup: Setup, *first: str) -> str:
    """``priority 10, image compute@stable, var.rack=7``."""
    words = [f"{key} {value}" for key in ("image", "layout", "console") if (value := getattr(setup, key))]
    words += [f"first boot {setup.first}"] if setup.first else []
    return ", ".join((*first, *words, *(f"var.{name}={text}" for name, text in sorted(setup.variables.items()))))


def tell_missing(nodes: Iterable[Node]) -> None:
    """Which of them have no image, what that means, and what to do about it."""
    without = [node.name for node in nodes if not node.image]
    if without:
        hint = "`imaged setnode NODES --image NAME`, or `imaged setgroup GROUP --image NAME`"
        click.echo(f"{folded(without)}: nobody said an image, so no network boot installs it: {hint}")


def tell(effects: Iterable[Effect]) -> None:
    """Which nodes became what."""
    for each in effects:
        click.echo(f"{folded(each.nodes)}: {each.what} {each.before or '(none)'} -> {each.after or '(none)'}")
