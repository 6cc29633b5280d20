"""This node, as an update sees it: where its tree is, which kernel runs, whom to tell."""

from typing import Callable, NamedTuple

from installer.node.process import Say


class Site(NamedTuple):
    """This node. ``root`` is where its tree is, ``state`` our directory in it, ``kernel`` the running one's version.
    ``report`` is told (phase, status, message), ``sleep`` waits."""

    root: str
    state: str
    kernel: str
    say: Say
    report: Callable[[str, str, str], None]
    sleep: Callable[[float], None]
