"""What a site adds to an install of a node: scripts before and after, and files that are left out. Pure."""

from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from imaged.model.hardware import Disk
from imaged.model.image import Version
from imaged.model.node import Node
from imaged.model.plan import RunScript
from imaged.model.update import Script
from imaged.planning.fixups.target import Target
from imaged.planning.rsync_filter import admin_rules


@frozen
class Additions:
    """``pre`` and ``post`` in the order in which they run, ``groups`` in theirs, the winner last. ``rules`` are rsync's
    filter rules for the image's tree: the first that fits decides (rsync(1))."""

    pre: tuple[Script, ...] = ()
    post: tuple[Script, ...] = ()
    groups: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


NOTHING_ADDED: Final = Additions()


def before(added: Additions, said: dict[str, str]) -> tuple[RunScript, ...]:
    """The pre-install scripts, each with the variables ``said``."""
    return tuple(RunScript(each.name, each.content, said) for each in added.pre)


def after(added: Additions, said: dict[str, str]) -> tuple[RunScript, ...]:
    """The post-install scripts, each with the variables ``said``."""
    return tuple(RunScript(each.name, each.content, said, in_target=True) for each in added.post)


def variables(target: Target, version: Version, disks: tuple[Disk, ...], groups: tuple[str, ...]) -> dict[str, str]:
    """What a script finds in its environment: ours as after an update, and SystemImager's where we know the same.

    ``disks`` are those that the plan writes to.
    """
    return {
        **named(target.node, version, groups, target.server, target.domain),
        "DISKS": str(len(disks)),
        **{f"DISK{number}": disk.path for number, disk in enumerate(disks)},
    }


def named(node: Node, version: Version, groups: tuple[str, ...], server: str, domain: str) -> dict[str, str]:
    """The variables of every script that is for one node, wherever it runs."""
    return {
        "IMAGED_NODE": node.name,
        "IMAGED_IMAGE": version.image,
        "IMAGED_VERSION": str(version.number),
        "IMAGED_SERVER": server,
        "HOSTNAME": node.name,
        "BASE_HOSTNAME": node.name.rstrip("0123456789"),
        "DOMAINNAME": domain,
        "IPADDR": str(node.address or ""),
        "IMAGENAME": version.image,
        "IMAGESERVER": urlsplit(server).hostname or "",
        "GROUPNAMES": " ".join(groups),
    }


def rules(lists: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Filter rules from (where, text) of the layers' lists, given in the layers' order. Raises BadInput.

    rsync takes the first rule that fits and layers let the last one win, so they are turned round.
    """
    return tuple(rule for where, text in reversed(lists) for rule in admin_rules(text, where=where))
