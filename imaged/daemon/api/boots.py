"""What nodes do at their next network boot."""

from attrs import frozen

from imaged.admin.boot import choose
from imaged.admin.desk import Desk
from imaged.daemon.api.nodes import Names, Ranged, the_node
from imaged.daemon.api.route import Call
from imaged.model.codec import from_json
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction
from imaged.model.wishes import Then, Wishes, parse_breaks, parse_plan


@frozen
class Boot:
    """A next network boot. ``breaks`` (``transfer:before``), ``then`` and ``plan`` (its hash) go with ``install``.

    ``once``: what held before holds again after it; null: as is usual for the action. ``kernel`` and ``initrds`` are
    files below the server's boot directory, ``append`` goes on the command line; ``script`` is an iPXE script.
    """

    action: BootAction
    once: bool | None = None
    breaks: tuple[str, ...] = ()
    then: Then = Then.REBOOT
    plan: str = ""
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    append: str = ""
    script: str = ""

    @property
    def next(self) -> NextBoot:
        """Without what is of installs only."""
        return NextBoot(self.action, self.kernel, self.initrds, self.append, self.script)

    @property
    def wishes(self) -> Wishes:
        """Of an install. Raises BadInput."""
        return Wishes(parse_breaks(self.breaks), self.then, parse_plan(self.plan))


def one(call: Call[None, None]) -> Boot:
    """What the node does at its next network boot."""
    return _of(call.desk, the_node(call).name)


def choose_one(call: Call[None, Boot]) -> Boot:
    """Choose what the node does at its next network boot."""
    name, body = the_node(call).name, call.body
    choose(call.desk, (name,), body.next, once=body.once, wishes=body.wishes)
    return _of(call.desk, name)


def choose_many(call: Call[Ranged, Boot]) -> Names:
    """Choose what nodes do at their next network boot: all of them, or none. Their names."""
    body = call.body
    chosen = choose(call.desk, (call.query.nodes,), body.next, once=body.once, wishes=body.wishes)
    return Names(tuple(name for name, _ in chosen))


def _of(desk: Desk, name: str) -> Boot:
    booting, text = desk.nodes.booting(name), desk.nodes.fact(name, "wishes")
    wishes, now = from_json(text, Wishes) if text else Wishes(), booting.now
    return Boot(
        now.action, booting.after is not None, tuple(map(str, wishes.breaks)), wishes.then, wishes.plan,
        now.kernel, now.initrds, now.append, now.script,
    )  # fmt: skip
