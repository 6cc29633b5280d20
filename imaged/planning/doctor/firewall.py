"""Whether a packet filter drops what nodes send us: nftables' and iptables' rules, as far as they can be understood.

A rule whose condition is not understood may match or not: both ways are followed, and the answer may be "perhaps".
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from imaged.planning.doctor.finding import Finding, Voice
from imaged.planning.doctor.ports import Wanted

_SAY = Voice("firewall")
_ACCEPT, _DROP, _FALL = "accept", "drop", "fall"  # what becomes of a packet; fall: the chain has no more to say
_EVERYTHING = frozenset({_ACCEPT, _DROP})
_HOOKS = ("prerouting", "input")
_OF_IPV4 = ("ip", "inet")
_NO_CONDITION = frozenset({"counter", "log", "comment", "mangle", "meta", "notrack", "ct helper"})
_XT = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}

Expression = dict[str, Any]  # of libnftables-json(5)
Verdicts = frozenset[str]


@frozen
class Chain:
    """``hook`` and ``policy`` are empty of chains that others jump to."""

    name: str
    hook: str = ""
    policy: str = _ACCEPT
    rules: tuple[tuple[Expression, ...], ...] = ()


@frozen
class Rules:
    """Chains by table and name, sets by table and name."""

    chains: Mapping[tuple[str, str], Chain] = field(factory=dict)
    sets: Mapping[tuple[str, str], Sequence[Any]] = field(factory=dict)


def read_nft(text: str) -> Rules:
    """Of ``nft -j list ruleset``. What is no such text has no rules."""
    chains: dict[tuple[str, str], Chain] = {}
    rules: dict[tuple[str, str], list[tuple[Expression, ...]]] = {}
    sets: dict[tuple[str, str], Sequence[Any]] = {}
    try:
        listed = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError):
        listed = None
    if not isinstance(listed, list):
        return Rules()
    for kind, each in ((kind, each) for entry in listed for kind, each in entry.items()):
        table = f"{each.get('family')} {each.get('table')}"
        if each.get("family") not in _OF_IPV4:
            continue
        if kind == "chain":
            hook = each.get("hook", "") if each.get("type", "filter") == "filter" else ""
            chains[table, each["name"]] = Chain(each["name"], hook, each.get("policy", _ACCEPT))
        elif kind == "rule":
            rules.setdefault((table, each["chain"]), []).append(tuple(each.get("expr", ())))
        elif kind in ("set", "map"):
            sets[table, each["name"]] = each.get("elem", ())
    for key, found in rules.items():
        if key in chains:
            chain = chains[key]
            chains[key] = Chain(chain.name, chain.hook, chain.policy, tuple(found))
    return Rules(chains, sets)


def read_iptables(text: str, label: str = "ip filter") -> Rules:
    """The table ``filter`` of ``iptables-save``, its rules put into nftables' words; ``label`` is what it is called."""
    table, policies, rules = "", dict[str, str](), dict[str, list[tuple[Expression, ...]]]()
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and line.startswith(":"):
            name, policy = line[1:].split()[:2]
            policies[name] = policy
        elif table == "filter" and line.startswith("-A "):
            words = shlex.split(line)
            rules.setdefault(words[1], []).append(tuple(_translated(words[2:])))
    chains = {}
    for name, policy in policies.items():
        hook = "input" if name == "INPUT" else ""
        chains[label, name] = Chain(name, hook, _XT.get(policy, _ACCEPT), tuple(rules.get(name, ())))
    return Rules(chains)


def together(nft: Rules, iptables: Rules) -> Rules:
    """All rules. Of a table that iptables made, what iptables says of it: nft shows its matches as riddles."""
    shown = {table for table, _ in iptables.chains}
    own = {key: chain for key, chain in nft.chains.items() if key[0] not in shown}
    return Rules({**own, **iptables.chains}, nft.sets)


def findings(rules: Rules, ports: Sequence[Wanted], interfaces: Sequence[str]) -> Iterator[Finding]:
    """Of each port, as it is asked for on each interface."""
    dropped: dict[str, list[str]] = {}
    unclear: dict[str, list[str]] = {}
    for port in ports:
        for name in (port.interface,) if port.interface else interfaces:
            label = f"{port.protocol.upper()} {port.port}"
            for chain, verdicts in judged(rules, port.protocol, port.port, name):
                if verdicts == {_DROP}:
                    dropped.setdefault(f"{label} on {name}", []).append(chain)
                elif _DROP in verdicts:
                    unclear.setdefault(f"{label} on {name}", []).append(chain)
    for label, chains in dropped.items():
        yield _SAY.error(f"dropped by {', '.join(chains)}", label, f"Let it in: {_opening(label, chains[0])}")
    unsure = [label for label in unclear if label not in dropped]
    if unsure:
        what = f"whether {', '.join(unsure)} come in cannot be told from the rules"
        yield _SAY.note(what, ", ".join(sorted({each for label in unsure for each in unclear[label]})))
    if not dropped and not unsure:
        yield _SAY.ok("nothing that nodes ask for is dropped" if rules.chains else "there are no rules")


def is_shut(rules: Rules, protocol: str, port: int, interface: str) -> bool:
    """Whether some chain drops it for sure."""
    return any(verdicts == {_DROP} for _, verdicts in judged(rules, protocol, port, interface))


def judged(rules: Rules, protocol: str, port: int, interface: str) -> Iterator[tuple[str, Verdicts]]:
    """What may become of the first packet of a connection to ``port``, by each chain that sees it."""
    packet = _Packet(protocol, port, interface)
    for (table, name), chain in rules.chains.items():
        if chain.hook in _HOOKS:
            found = _walk(rules, table, chain, packet, ())
            policy = _DROP if chain.policy == "drop" else _ACCEPT
            yield f"{table} {name}", frozenset(policy if each == _FALL else each for each in found)


@frozen
class _Packet:
    protocol: str
    port: int
    interface: str


def _walk(rules: Rules, table: str, chain: Chain, packet: _Packet, above: tuple[str, ...]) -> Verdicts:
    found: set[str] = set()
    for rule in chain.rules:
        sure, ends = _rule(rules, table, rule, packet, (*above, chain.name))
        found |= ends - {"on"}
        if sure and "on" not in ends:
            return frozenset(found)
    return frozenset(found | {_FALL})


def _rule(
    rules: Rules, table: str, rule: Sequence[Expression], packet: _Packet, above: tuple[str, ...]
) -> tuple[bool, Verdicts]:
    """Whether the rule is sure to match, and what it may do then; ``on``: the next rule."""
    sure = True
    for expression in rule:
        for kind, value in expression.items():
            if kind == "match":
                holds = _holds(rules, table, value, packet)
                if holds is False:
                    return True, frozenset({"on"})
                sure = sure and holds is True
            elif kind == "vmap":
                return sure, _mapped(rules, table, value, packet, above)
            elif (ends := _verdict(rules, table, kind, value, packet, above)) is not None:
                return sure, ends
            elif kind not in _NO_CONDITION:
                sure = False
    return True, frozenset({"on"})


def _verdict(
    rules: Rules, table: str, kind: str, value: Any, packet: _Packet, above: tuple[str, ...]
) -> Verdicts | None:
    """None for what is no verdict."""
    if kind in ("accept", "drop"):
        return frozenset({kind})
    if kind == "reject":
        return frozenset({_DROP})
    if kind == "continue":
        return frozenset({"on"})
    if kind == "return":
        return frozenset({_FALL})
    if kind in ("jump", "goto"):
        target = rules.chains.get((table, value["target"]))
        if target is None or target.name in above:
            return frozenset({"on"})
        found = _walk(rules, table, target, packet, above)
        return found if kind == "goto" or _FALL not in found else (found - {_FALL}) | {"on"}
    if kind == "xt" and isinstance(value, dict) and value.get("type") == "target":
        return frozenset({*_EVERYTHING, "on"})
    return None


def _mapped(rules: Rules, table: str, value: Any, packet: _Packet, above: tuple[str, ...]) -> Verdicts:
    data = value.get("data")
    pairs = data.get("set", ()) if isinstance(data, dict) else rules.sets.get((table, str(data).lstrip("@")), ())
    ends: set[str] = {"on"}
    for key, verdict in pairs:
        holds = _holds(rules, table, {"op": "==", "left": value.get("key"), "right": key}, packet)
        if holds is False or not isinstance(verdict, dict):
            continue
        for kind, target in verdict.items():
            found = _verdict(rules, table, kind, target, packet, above) or frozenset(_EVERYTHING)
            if holds:
                return found
            ends |= found
    return frozenset(ends)


def _holds(rules: Rules, table: str, match: Any, packet: _Packet) -> bool | None:
    """None: not understood."""
    left, right, op = match.get("left"), match.get("right"), match.get("op")
    if not isinstance(left, dict) or op not in ("==", "!=", "in"):
        return None
    ((kind, what),) = left.items()
    value: str | int
    if kind == "payload":
        protocol, name = what.get("protocol"), what.get("field")
        if protocol in ("icmp", "icmpv6", "ip6", "sctp", "dccp", "arp"):
            return False
        if protocol in ("tcp", "udp") and protocol != packet.protocol:
            return False
        if protocol not in ("tcp", "udp", "th") or name != "dport":
            return None
        value = packet.port
    elif kind == "meta" and what.get("key") in ("l4proto", "iifname", "iif", "nfproto", "protocol"):
        value = {"l4proto": packet.protocol, "nfproto": "ipv4", "protocol": "ip"}.get(what["key"], packet.interface)
    elif kind == "ct" and what.get("key") == "state":
        value = "new"
    else:
        return None
    inside = _among(rules, table, value, right)
    return inside if inside is None or op != "!=" else not inside


def _among(rules: Rules, table: str, value: str | int, right: Any) -> bool | None:
    if isinstance(right, str) and right.startswith("@"):
        elements = rules.sets.get((table, right[1:]))
        return None if elements is None else _among(rules, table, value, list(elements))
    if isinstance(right, dict) and "elem" in right:
        return _among(rules, table, value, right["elem"].get("val"))
    if isinstance(right, dict) and "set" in right:
        right = right["set"]
    if isinstance(right, list):
        answers = [_among(rules, table, value, each) for each in right]
        return True if True in answers else None if None in answers else False
    if isinstance(right, dict) and "range" in right:
        low, high = right["range"]
        return low <= value <= high if isinstance(value, int) and isinstance(low, int) else None
    if isinstance(right, dict):
        return None
    if isinstance(value, str) and isinstance(right, str) and right.endswith("*"):
        return value.startswith(right[:-1])
    return bool(value == right)


def _translated(words: Sequence[str]) -> Iterator[Expression]:
    """The words of one iptables rule, behind ``-A CHAIN``."""
    left: dict[str, Any] = {
        "-p": {"meta": {"key": "l4proto"}}, "-i": {"meta": {"key": "iifname"}},
        "--dport": {"payload": {"protocol": "th", "field": "dport"}},
        "--dports": {"payload": {"protocol": "th", "field": "dport"}},
        "--ctstate": {"ct": {"key": "state"}}, "--state": {"ct": {"key": "state"}},
    }  # fmt: skip
    at, negated = 0, False
    while at < len(words):
        word, value = words[at], words[at + 1] if at + 1 < len(words) else ""
        at += 1
        if word == "!":
            negated = True
            continue
        if word in left:
            yield {"match": {"op": "!=" if negated else "==", "left": left[word], "right": _values(word, value)}}
        elif word in ("-j", "-g"):
            kind = _XT.get(value)
            yield {kind: None} if kind else {"jump" if word == "-j" else "goto": {"target": value}}
        elif word.startswith("-") and word not in ("-m", "--reject-with", "--comment"):
            yield {"xt": {"type": "match", "name": word}}
        at += 0 if not value or value.startswith("-") or value == "!" else 1
        negated = False


def _values(word: str, text: str) -> Any:
    if word == "-i":
        return f"{text[:-1]}*" if text.endswith("+") else text
    if word in ("--dport", "--dports"):
        ends = [[int(end) for end in each.split(":") if end.isdecimal()] for each in text.split(",")]
        return {"set": [each[0] if len(each) == 1 else {"range": each} for each in ends if each]}
    return {"set": [each.lower() for each in text.split(",")]}


def _opening(label: str, chain: str) -> str:
    protocol, port = label.split()[:2]
    family, table, name = chain.split(" ", 2)
    return f"nft insert rule {family} {table} {name} {protocol.lower()} dport {port} accept"
