"""What is done to nodes from the page: asked first, then done."""

from collections import Counter
from urllib.parse import urlencode

from imaged.admin import boot, nodes, power, ranges
from imaged.admin.power import Limits
from imaged.daemon.pages.visit import Page, See, Visit
from imaged.model.errors import BadInput, ImagedError
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction, Node
from imaged.model.power import PowerAction
from imaged.model.wishes import Wishes, parse_plan
from imaged.planning import access, sessions
from imaged.planning.install import plan_hash
from imaged.web import confirm
from imaged.web.confirm import PLANNED, WORDINGS, Deed, Outlook

_BOOTS = {
    Deed.INSTALL: BootAction.INSTALL, Deed.LOCAL: BootAction.LOCAL, Deed.RESCUE: BootAction.RESCUE,
    Deed.INVENTORY: BootAction.INVENTORY, Deed.MEMTEST: BootAction.MEMTEST,
}  # fmt: skip
_POWERS = {Deed.ON: PowerAction.ON, Deed.OFF: PowerAction.OFF, Deed.CYCLE: PowerAction.CYCLE}


def selected(visit: Visit) -> See:
    """The nodes that were ticked, and those of a range: on to the question."""
    form = visit.form
    wanted = [*form.all("node"), *filter(None, (form.text("range"),))]
    if not wanted:
        raise BadInput("no node is selected", hint="Tick some, or write a range such as node[01-16].")
    names = [node.name for node in ranges.named(visit.desk, wanted)]
    said = {"do": form.text("do"), "nodes": ranges.folded(names), "back": sessions.inside(form.text("back"))}
    return See(f"/confirm?{urlencode(said)}")


def ask(visit: Visit) -> Page:
    """Whether it shall be done, and what it would do."""
    deed = _deed(visit, visit.query.text("do"))
    back = sessions.inside(visit.query.text("back"), "")
    glance, state = visit.glance(), visit.query.text("state")
    found = [
        node
        for node in ranges.named(visit.desk, (visit.query.text("nodes"),))
        if node.name in glance.courses and state in ("", glance.courses[node.name].standing.value)
    ]
    if not found:
        raise BadInput("these are no nodes")
    installs = deed is Deed.INSTALL
    it = confirm.question(
        deed,
        ranges.folded([node.name for node in found]),
        [(glance.lives[node.name], glance.courses[node.name]) for node in found],
        gets=Counter((str(node.image), visit.meant(node.image)) for node in found) if installs else {},
        outlooks=[_outlook(visit, node) for node in found] if installs and len(found) <= PLANNED else (),
        back=back or (f"/nodes/{found[0].name}" if len(found) == 1 else "/"),
    )
    return Page("confirm", it)


def do(visit: Visit) -> See:
    """Do it. Raises BadInput where it was not said that it is meant."""
    form = visit.form
    deed = _deed(visit, form.text("do"))
    found = ranges.named(visit.desk, (form.text("nodes"),))
    names = ranges.folded([node.name for node in found])
    if WORDINGS[deed].yes and form.number("sure") != len(found):
        raise BadInput(
            f"it was not confirmed for {len(found)} nodes", where=names, hint="Go back, look at them, and confirm."
        )
    now = deed is Deed.INSTALL and bool(form.text("now"))
    if deed is Deed.REMOVE:
        nodes.remove(visit.desk, (names,))
    elif deed in _POWERS:
        power.begin(visit.desk, found, _POWERS[deed], Limits())
    else:
        wishes = Wishes(plan=parse_plan(form.text("plan"))) if deed is Deed.INSTALL else Wishes()
        if now:
            power.begin_install(visit.desk, found, Limits(), wishes)
        else:
            boot.choose(visit.desk, (names,), NextBoot(_BOOTS[deed]), wishes=wishes)
    back = "/" if deed is Deed.REMOVE else sessions.inside(form.text("back"))
    return See(back, confirm.told(deed, names, len(found), now=now))


def _deed(visit: Visit, text: str) -> Deed:
    """Raises BadInput, and Denied for what the caller may not do."""
    try:
        deed = Deed(text)
    except ValueError:
        raise BadInput(f"{text[:40]!r} is nothing that can be done to nodes") from None
    access.admit(visit.caller, WORDINGS[deed].role)
    return deed


def _outlook(visit: Visit, node: Node) -> Outlook:
    inventory = visit.desk.nodes.inventory(node.name)
    if inventory is None:
        return Outlook(node.name, known=False)
    try:
        made = visit.provisioning.plan(node, inventory)
    except ImagedError as error:
        return Outlook(node.name, problem=str(error))
    return Outlook(node.name, lost=tuple(map(str, made.lost)), kept=tuple(map(str, made.kept)), hash=plan_hash(made))
