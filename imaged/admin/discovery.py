"""Machines get names by rules: what is proposed, what a person approves, what needs nobody's approval."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from imaged.admin import naming
from imaged.admin.desk import Desk
from imaged.admin.naming import Named
from imaged.model.codec import from_plain
from imaged.model.errors import BadInput, Conflict, NotFound
from imaged.model.net import Mac
from imaged.model.places import Rule, Rules
from imaged.planning import discovery
from imaged.planning.discovery import Known, Proposal
from imaged.planning.rules import faults
from imaged.store import yamlfile
from imaged.store.machines import inventories, offered
from imaged.store.machines import naming as turn
from imaged.store.paths import State


def read_rules(state: State) -> tuple[Rule, ...]:
    """Those of ``rules.yaml``; none where there is no such file. Raises BadInput with every fault."""
    where = str(state.rules)
    try:
        plain = yamlfile.load(state.rules)
    except NotFound:
        return ()
    rules = from_plain({} if plain is None else plain, Rules, where=where).rules
    if found := list(faults(rules)):
        raise BadInput("\n  ".join(found), where=where)
    return rules


def proposed(desk: Desk, rules: Sequence[Rule]) -> tuple[Proposal, ...]:
    """What the rules would make of the machines that wait for a name. Nothing is changed."""
    with desk.engine.connect() as connection:
        return _proposed(rules, connection, naming.known(desk, connection))


def approve(desk: Desk, rules: Sequence[Rule], macs: Iterable[Mac] | None = None) -> tuple[Named, ...]:
    """Name these machines (None: all that a rule has a place for) as the rules propose: all of them, or none.

    Raises Conflict for one that no rule has a place for, and NotFound.
    """
    with turn(desk.engine) as connection:
        known = naming.known(desk, connection)
        made = {each.machine.mac: each for each in _proposed(rules, connection, known)}
        wanted = [each for each in made.values() if each.slot] if macs is None else [_wanted(made, mac) for mac in macs]
        naming.check(desk, {each.rule.become for each in wanted if each.rule})
        return tuple(_name(connection, each, known) for each in wanted)


def register(desk: Desk, rules: Sequence[Rule], mac: Mac) -> Named | None:
    """Name the machine if a rule that needs nobody's approval has a place for it. Raises ImagedError."""
    with turn(desk.engine) as connection:
        known = naming.known(desk, connection)
        mine = next((each for each in _proposed(rules, connection, known) if each.machine.mac == mac), None)
        if mine is None or mine.rule is None or mine.rule.approve:
            return None
        if mine.slot is None:
            raise Conflict(mine.why, where=str(mac))
        naming.check(desk, [mine.rule.become])
        return _name(connection, mine, known)


def _proposed(rules: Sequence[Rule], connection: sa.Connection, known: Known) -> tuple[Proposal, ...]:
    machines = offered(connection)
    return discovery.proposals(rules, machines, inventories(connection, (each.mac for each in machines)), known)


def _wanted(made: dict[Mac, Proposal], mac: Mac) -> Proposal:
    if mac not in made:
        raise NotFound(f"no machine {mac} waits for a name", hint="`imaged lsmachine` shows those that do.")
    if made[mac].slot is None:
        raise Conflict(made[mac].why, where=str(mac), hint=f"`imaged assign NAME {mac}` names it by hand.")
    return made[mac]


def _name(connection: sa.Connection, made: Proposal, known: Known) -> Named:
    assert made.rule and made.slot
    return naming.name(
        connection, made.machine, made.slot, made.rule.become,
        taken=known.macs, all_nics=made.rule.all_nics, rule=made.rule.name,
    )  # fmt: skip
