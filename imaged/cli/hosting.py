"""The options that say how a node's own system shall be set up; the same for nodes and for groups."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import click

from imaged.model.host import CloudInit, Host, Identity
from imaged.planning.network import read
from imaged.store import yamlfile

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=Enum)


def options(command: F) -> F:
    """Adds the options; their values arrive together, see ``host``."""
    for option in reversed(
        (
            click.option("--network", type=click.Path(dir_okay=False, path_type=Path), help="YAML file: its network."),
            click.option("--identity", type=_choice(Identity), help="What becomes of machine-id and host keys when "
                         "it is imaged again (usual: keep)."),
            click.option("--cloud-init", type=_choice(CloudInit), help="Where the image has it (usual: off)."),
            click.option("--timezone", help="As in tzdata, such as Europe/Berlin; usual: the image's."),
            click.option("--locale", help="As LANG, such as en_GB.UTF-8; usual: the image's."),
            click.option("--keyboard", help="XKB layout, such as de or us:intl; usual: the image's."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def host(
    network: Path | None,
    identity: str | None,
    cloud_init: str | None,
    timezone: str | None,
    locale: str | None,
    keyboard: str | None,
) -> Host:
    """What was said by these options. Raises BadInput and NotFound."""
    return Host(
        network=read(yamlfile.load(network), str(network)) if network else None,
        identity=Identity(identity) if identity else None,
        cloud_init=CloudInit(cloud_init) if cloud_init else None,
        timezone=timezone,
        locale=locale,
        keyboard=keyboard,
    )


def _choice(kind: type[Enum]) -> "click.Choice[str]":
    return click.Choice([each.value for each in kind])
