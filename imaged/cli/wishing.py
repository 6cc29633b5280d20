"""What the verbs share that choose an install: where it waits for a person, how it ends, and by which plan. No verb."""

from collections.abc import Callable
from typing import Any

import click

from imaged.model.wishes import Then, Wishes, parse_breaks, parse_plan


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``take`` reads them."""
    for option in (
        click.option(
            "--plan", default="", metavar="HASH",
            help="Of one node: only this plan (see `imaged plan`), nothing if its hardware needs another.",
        ),
        click.option(
            "--then", type=click.Choice([then.value for then in Then]), default=Then.REBOOT.value, show_default=True,
            help="How the install ends.",
        ),
        click.option(
            "--break", "breaks", multiple=True, metavar="PHASE[:before|after]",
            help="The install waits there, with a shell on the console and by ssh. Repeat for more.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def take(given: dict[str, Any]) -> Wishes:
    """The values of ``options``, taken out of a command's keywords. Raises BadInput."""
    return Wishes(parse_breaks(given.pop("breaks")), Then(given.pop("then")), parse_plan(given.pop("plan")))


def told(wishes: Wishes) -> str:
    """What follows the word ``install``. Pure."""
    waits = f", waits {', '.join(map(str, wishes.breaks))}" if wishes.breaks else ""
    ends = f", then {wishes.then.value}" if wishes.then is not Then.REBOOT else ""
    return f"{waits}{ends}{f', only as plan {wishes.plan}' if wishes.plan else ''}"
