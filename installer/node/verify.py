"""``imaged verify`` on a node: what is not as it should be, whose it is, for people, programs and the server."""

import sys
from typing import Any, Dict, List

from installer.node import known
from installer.node.answer import as_json, shown
from installer.node.compare import FIXUP, IMAGE, LOCAL, OVERRIDE, Difference
from installer.node.errors import DONE, DRIFT, Failed
from installer.node.server import Server
from installer.node.state import State
from installer.node.survey import drifted_fixups, rules_of, survey

_SHOWN = 200  # differences of each owner that are printed or told
_WORDS = {
    IMAGE: "image: not as the version has it", OVERRIDE: "override: not as it was laid over the image",
    FIXUP: "fixup: not as it was made this node's own", LOCAL: "local: nothing provides it",
}  # fmt: skip
_CONTENT = frozenset(("size", "mtime", "sha256"))


def verify(root: str, checksum: bool, report: bool, machine: bool) -> int:
    """Exit code: 0 in step, 4 drift. Raises Failed where the node was never brought into step by its agent."""
    state = State(root)
    with state.locked():
        plan = state.value("plan.json")
        try:
            if plan is None:
                raise FileNotFoundError
            here = known.kept(state)
        except FileNotFoundError:
            hint = "Run `imaged updateclient` first: it brings the manifest."
            raise Failed("there is nothing to compare with yet", where=state.path("manifest"), hint=hint) from None
        rules = rules_of(plan, root)
        found = [each for each in survey(root, here, rules, checksum) if not _merged(each, rules.merged)]
        found += drifted_fixups(root, plan)
        known.remember(state, here, plan)
        drift = drift_of(plan, found)
        if report:
            Server(state.server(), state.secret()).drift(drift)
    sys.stdout.write((as_json(drift) if machine else table(plan["image"], found)) + "\n")
    return DRIFT if found else DONE


def drift_of(plan: Dict[str, Any], found: List[Difference]) -> Dict[str, Any]:
    """``imaged.model.update.Drift``."""
    rows = [{"path": shown(each.path), "owner": each.owner, "what": ",".join(sorted(each.what))} for each in found]
    return {"image": plan["image"], "serial": plan["serial"], "count": len(found), "differences": rows[:_SHOWN]}


def table(image: str, found: List[Difference]) -> str:
    """For people: grouped by owner, and a line that says it all."""
    rows: List[str] = []
    for owner in (IMAGE, OVERRIDE, FIXUP, LOCAL):
        group = [each for each in found if each.owner == owner]
        if group:
            rows.append("{} ({})".format(_WORDS[owner], len(group)))
            rows += ["  {}  ({})".format(shown(each.path), ",".join(sorted(each.what))) for each in group[:_SHOWN]]
            if len(group) > _SHOWN:
                rows.append("  and {} more".format(len(group) - _SHOWN))
    paths = "path differs" if len(found) == 1 else "paths differ"
    rows.append("{} {} from {}".format(len(found), paths, image) if found else "in step with {}".format(image))
    return "\n".join(rows)


def _merged(each: Difference, merged: "frozenset[bytes]") -> bool:
    """Users and groups are merged by name: their files have contents of the node's own."""
    return each.path in merged and each.what <= _CONTENT
