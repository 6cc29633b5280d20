"""The guided setup: OSCAR's eight steps, what is there of each, what is missing, and the next command. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from imaged.model.settings import DhcpMode, Settings
from imaged.planning.course import Standing
from imaged.web import words
from imaged.web.sheet import Block

STEPS: Final = (
    ("network", "Network"), ("image", "Image"), ("layout", "Disk layout"), ("nodes", "Nodes"),
    ("collect", "Collect"), ("rehearse", "Rehearse"), ("install", "Install"), ("test", "Test"),
)  # fmt: skip
_INSTALLED: Final = ("ready", "updating")


@frozen
class Rehearsal:
    """The latest of an image, as its event has it."""

    image: str
    at: int
    outcome: str
    detail: str


@frozen
class Facts:
    """What is known of the site. ``images``: name and architecture of the newest version; ``ramdisks``: architectures
    that have one; ``counts``: nodes by standing; ``places``: how many have a machine, and all.
    """

    settings: Settings
    loaders: tuple[str, ...] = ()
    ramdisks: tuple[str, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    layouts: tuple[str, ...] = ()
    layout_problems: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    counts: Mapping[str, int] = {}
    machines: int = 0
    places: tuple[int, int] = (0, 0)
    rehearsals: tuple[Rehearsal, ...] = ()
    drifted: tuple[tuple[str, int], ...] = ()

    @property
    def nodes(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@frozen
class Step:
    """``mark``: done, part or todo; ``gist`` is the state of it in a few words, ``missing`` what it still needs."""

    key: str
    title: str
    mark: str
    gist: str
    missing: tuple[str, ...] = ()


@frozen
class Guide:
    """The page of one step."""

    now: Step
    steps: Block
    facts: Facts
    before: str
    after: str
    commands: tuple[tuple[str, str], ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that changes."""
        return (self.steps,)


def guide(key: str, facts: Facts) -> Guide | None:
    """The step ``key``; None: there is no such step."""
    steps = tuple(_SEEN[key](facts) for key, _ in STEPS)
    keys = [step.key for step in steps]
    if key not in keys:
        return None
    at = keys.index(key)
    return Guide(
        steps[at],
        Block("steps", "setup.steps", (steps, key)),
        facts,
        keys[at - 1] if at else "",
        keys[at + 1] if at + 1 < len(keys) else "",
        tuple(_COMMANDS.get(key, lambda _: ())(facts)),
    )


def first_open(facts: Facts) -> str:
    """The step to go on with."""
    return next((key for key, _ in STEPS if _SEEN[key](facts).mark != "done"), STEPS[-1][0])


def _step(key: str, gist: str, missing: Sequence[str], *, part: bool = False) -> Step:
    mark = "done" if not missing and not part else "part" if part else "todo"
    return Step(key, dict(STEPS)[key], mark, gist, tuple(missing))


def _network(facts: Facts) -> Step:
    dhcp = facts.settings.dhcp
    missing = []
    if dhcp.mode is DhcpMode.OFF:
        missing.append("dhcp.mode is off: no machine is answered when it network-boots.")
    if dhcp.mode is DhcpMode.AUTHORITATIVE and not any(subnet.pool for subnet in dhcp.subnets):
        missing.append("No subnet has a pool: machines without a name get no address, and cannot be collected.")
    if not facts.loaders:
        missing.append("There are no boot loaders: imaged mkramdisk fetches them.")
    networks = ", ".join(str(subnet.network) for subnet in dhcp.subnets)
    return _step("network", f"DHCP {dhcp.mode.value}{f', {networks}' if networks else ''}", missing)


def _image(facts: Facts) -> Step:
    archs = {arch for _, arch in facts.images}
    missing = [] if facts.images else ["There is no image yet."]
    missing += [f"There is no boot ramdisk for {arch}." for arch in sorted(archs.difference(facts.ramdisks))]
    if not facts.images and not facts.ramdisks:
        missing.append("There is no boot ramdisk.")
    gist = words.count(len(facts.images), "image") if facts.images else "none"
    return _step("image", gist, missing, part=bool(facts.images) and bool(missing))


def _layout(facts: Facts) -> Step:
    missing = [f"{name}: {problem}" for name, problem in facts.layout_problems]
    return _step("layout", words.count(len(facts.layouts), "layout"), missing)


def _nodes(facts: Facts) -> Step:
    _, total = facts.places
    gist = [words.count(facts.nodes, "node")] if facts.nodes else []
    gist += [words.count(total, "place")] if total else []
    missing = [] if gist else ["No nodes are defined, and no places that machines could take."]
    return _step("nodes", ", ".join(gist) or "none", missing)


def _collect(facts: Facts) -> Step:
    named, total = facts.places
    if not total:
        missing = [] if facts.nodes else ["There are no places to fill: define them in the step before."]
        return _step("collect", "not needed" if facts.nodes else "not begun", missing)
    missing = [f"{words.count(total - named, 'place')} left to fill."] if named < total else []
    return _step("collect", f"{named} of {total}", missing, part=bool(named and missing))


def _rehearse(facts: Facts) -> Step:
    done = [each for each in facts.rehearsals if each.outcome == "ready"]
    images = ", ".join(dict.fromkeys(each.image for each in done))
    return _step("rehearse", images or "never", [] if done else ["No rehearsal has ended well yet."])


def _install(facts: Facts) -> Step:
    done = sum(facts.counts.get(each, 0) for each in _INSTALLED)
    bad = [
        f"{words.count(facts.counts[each.value], 'node')} {each.value}."
        for each in (Standing.FAILED, Standing.STALLED, Standing.WAITING)
        if facts.counts.get(each.value)
    ]
    waiting = facts.counts.get(Standing.DEFINED.value, 0)
    missing = [*bad, *([f"{words.count(waiting, 'node')} not installed yet."] if waiting else [])]
    if not facts.nodes:
        missing = ["There are no nodes yet."]
    return _step(
        "install", f"{done} of {facts.nodes} ready", missing, part=bool(facts.nodes) and done < facts.nodes and done > 0
    )


def _test(facts: Facts) -> Step:
    done = sum(facts.counts.get(each, 0) for each in _INSTALLED)
    missing = [f"{name}: {words.count(paths, 'path')} unlike its image." for name, paths in facts.drifted[:10]]
    if not facts.nodes or done < facts.nodes:
        missing.append("Not every node is ready.")
    return _step("test", "drift" if facts.drifted else "ready" if not missing else "not yet", missing)


_SEEN: Final = {
    "network": _network, "image": _image, "layout": _layout, "nodes": _nodes, "collect": _collect,
    "rehearse": _rehearse, "install": _install, "test": _test,
}  # fmt: skip


def _of_images(facts: Facts) -> Sequence[tuple[str, str]]:
    name = facts.images[0][0] if facts.images else "debian-12"
    return (
        ("imaged buildimage images/debian-12.yaml --root-key ~/.ssh/id_ed25519.pub", "builds one from packages"),
        ("imaged getimage root@golden --image compute", "captures a running machine, the golden client"),
        ("imaged importimage disk.qcow2 --image compute", "takes a disk, an archive or a container image"),
        (f"imaged mkramdisk --kernel image:{name}", "makes the boot ramdisk with the image's own kernel"),
    )


def _of_rehearsals(facts: Facts) -> Sequence[tuple[str, str]]:
    names = [name for name, _ in facts.images] or ["debian-12"]
    return tuple((f"imaged rehearse demo01 --image {name}", "as root; some minutes") for name in names[:5])


def _of_tests(facts: Facts) -> Sequence[tuple[str, str]]:
    return (
        ("imaged cexec '@*' hostname", "every node answers with its own name"),
        ("imaged cexec '@*' uptime", "equal answers are folded"),
        ("imaged verify '@*'", "compares every node with its image; what differs is shown here"),
    )


_COMMANDS: Final = {"image": _of_images, "rehearse": _of_rehearsals, "test": _of_tests}
