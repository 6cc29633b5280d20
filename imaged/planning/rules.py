"""Which rule a machine matches, by what it has told so far: yes, no, or not known yet. Pure."""

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from fnmatch import fnmatchcase
from ipaddress import AddressValueError, IPv4Address

from attrs import frozen

from imaged.model.boot import Arch
from imaged.model.errors import BadInput
from imaged.model.hardware import Inventory
from imaged.model.machine import Discovery, Label, Machine
from imaged.model.names import node_name
from imaged.model.places import Condition, Places, Rule
from imaged.planning.defining import console
from imaged.planning.matching import mismatches, unusable
from imaged.planning.ranges import unfolded

_LONGEST = 64  # characters of a SMBIOS string that are kept (SMBIOS 3.x, section 6.1.3 asks for no more)
_MAC_PREFIX = re.compile(r"([0-9a-f]{2}(:[0-9a-f]{2}){0,5}:?)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What boards say whose maker filled nothing in.
_FILLERS = frozenset({
    "default string", "to be filled by o.e.m.", "to be filled by o.e.m", "not specified", "not available", "unknown",
    "none", "n/a", "na", "oem", "o.e.m.", "system manufacturer", "system product name", "system serial number",
    "chassis asset tag", "asset-1234567890", "no asset tag", "no asset information", "0123456789", "123456789",
    "1234567890", "invalid",
})  # fmt: skip


class Answer(IntEnum):
    """Whether a condition holds. The lowest of several is the answer to all of them."""

    NO = 0
    UNKNOWN = 1  # and the machine may yet tell
    YES = 2


@frozen
class Choice:
    """The rule of a machine, or why it has none (yet)."""

    rule: Rule | None
    why: str = ""


def choose(rules: Sequence[Rule], machine: Machine, inventory: Inventory | None, mode: Discovery) -> Choice:
    """The first rule that matches. One before it that cannot be told yet is waited for."""
    for rule in rules:
        held = dict(_answers(rule.match, machine, inventory, mode))
        worst = min(held.values(), default=Answer.YES)
        if worst is Answer.YES:
            return Choice(rule)
        if worst is Answer.UNKNOWN:
            wanted = ", ".join(key for key, answer in held.items() if answer is Answer.UNKNOWN)
            return Choice(None, f"rule {rule.name} wants to know its {wanted}")
    return Choice(None, "no rule matches")


def faults(rules: Sequence[Rule]) -> Iterator[str]:
    """Of the rules as they are written, each with the place."""
    seen = set[str]()
    for index, rule in enumerate(rules):
        at = f"rules[{index}]"
        if not _NAME.fullmatch(rule.name):
            yield f"{at}.name: {rule.name!r} is no name (letters, digits, '.', '_', '-')"
        elif rule.name in seen:
            yield f"{at}.name: {rule.name!r} is there twice"
        seen.add(rule.name)
        yield from (f"{at}.match.{fault}" for fault in _condition_faults(rule.match))
        yield from (f"{at}.become.{fault}" for fault in places_faults(rule.become))
        if rule.become.relay:
            yield f"{at}.become.relay: it belongs into match"


def places_faults(places: Places) -> Iterator[str]:
    """Of names that wait for machines."""
    for key, text in (("names", places.names), ("skip", places.skip)):
        try:
            found = [node_name(each) for each in unfolded(text)]
        except BadInput as error:
            yield f"{key}: {error.what} ({error.hint.removesuffix('.')})"
            continue
        if not found and key == "names":
            yield "names: there are none (write them like node[001-064])"
    try:
        console(places.console)
    except BadInput as error:
        yield f"console: {error.what}"
    if places.relay and _address(places.relay) is None:
        yield f"relay: {places.relay[:80]!r} is not an IPv4 address"


def cleaned(text: str) -> str:
    """A SMBIOS string as it is kept: printable, not too long, and empty where the board's maker filled nothing in."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_LONGEST].rstrip()
    return "" if plain.lower() in _FILLERS or not plain.strip("0.xX -") else plain


def label_of(vendor: str, product: str, serial: str, asset: str = "") -> Label:
    """What a machine said of itself, cleaned."""
    return Label(cleaned(vendor), cleaned(product), cleaned(serial), cleaned(asset))


def _answers(
    match: Condition, machine: Machine, inventory: Inventory | None, mode: Discovery
) -> Iterator[tuple[str, Answer]]:
    """Each thing that the condition asks for, with its answer."""
    if match.mac:
        yield "MAC", _is(str(machine.mac).startswith(match.mac.lower().replace("-", ":")))
    for key, pattern, text in (
        ("UUID", match.uuid, machine.uuid),
        ("vendor class", match.vendor_class, machine.vendor_class),
        ("architecture", match.arch, machine.arch),
    ):
        if pattern:
            yield key, _is(_fits(pattern, text))
    if match.subnet:
        network = match.subnet
        yield (
            "subnet",
            _is(any(_address(text) in network for text in (machine.relay, machine.address) if _address(text))),
        )
    if match.relay:
        yield "relay", _is(_address(machine.relay) == match.relay)
    yield from _label_answers(match, machine, told=machine.told is not None or inventory is not None, mode=mode)
    yield from _inventory_answers(match, inventory, mode)


def _label_answers(match: Condition, machine: Machine, *, told: bool, mode: Discovery) -> Iterator[tuple[str, Answer]]:
    for key in ("vendor", "product", "serial", "asset"):
        pattern = getattr(match, key)
        if not pattern:
            continue
        if told:
            yield key, _is(_fits(pattern, getattr(machine, key)))
        else:
            yield key, Answer.NO if mode is Discovery.OFF else Answer.UNKNOWN


def _inventory_answers(match: Condition, inventory: Inventory | None, mode: Discovery) -> Iterator[tuple[str, Answer]]:
    never = Answer.UNKNOWN if mode is Discovery.INVENTORY else Answer.NO
    if match.memory:
        yield "memory", _is(match.memory.holds(inventory.memory)) if inventory else never
    if match.disk:
        wanted = match.disk
        if inventory is None:
            yield "disks", never
        else:
            fitting = (disk for disk in inventory.disks if not unusable(disk) and not any(mismatches(wanted, disk)))
            yield "disks", _is(sum(1 for _ in fitting) >= match.disks)


def _is(holds: bool) -> Answer:
    return Answer.YES if holds else Answer.NO


def _fits(patterns: str, text: str) -> bool:
    return any(fnmatchcase(text.lower(), each.strip().lower()) for each in patterns.split("|"))


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def _condition_faults(match: Condition) -> Iterator[str]:
    if not _MAC_PREFIX.fullmatch(match.mac.lower().replace("-", ":")):
        yield f"mac: {match.mac!r} is not how a MAC begins (write it like 52:54:00)"
    known = [arch.value for arch in Arch]
    if match.arch and not any(_fits(match.arch, each) for each in known):
        yield f"arch: {match.arch!r} is none of {', '.join(known)}"
    if match.disks < 1:
        yield f"disks: {match.disks} is not a number of disks (1 at least)"
