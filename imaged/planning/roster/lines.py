"""Rosters of one node a line: ethers(5) and hosts(5)."""

import re

from imaged.model.errors import BadInput
from imaged.planning.roster.entries import Entry, Roster, address, mac

_LOCAL = re.compile(r"localhost|ip6-|broadcasthost")


def ethers(text: str) -> Roster:
    """``MAC name``."""
    entries = []
    for number, words in _lines(text):
        if len(words) != 2:
            raise BadInput(f"line {number}: an Ethernet address and a name are needed")
        entries.append(Entry(words[1].partition(".")[0].lower(), (mac(words[0], f"line {number}"),)))
    return Roster(tuple(entries))


def hosts(text: str) -> Roster:
    """``ADDRESS name ...``: the first name up to its first dot. IPv6 and this machine's own are passed over."""
    entries, notes = [], []
    for number, words in _lines(text):
        if ":" in words[0] or words[0].startswith("127."):
            continue
        if len(words) < 2 or _LOCAL.match(words[1]):
            notes.append((number, f"{' '.join(words)!r} names no node"))
            continue
        entries.append(Entry(words[1].partition(".")[0].lower(), address=address(words[0], f"line {number}")))
    return Roster(tuple(entries), notes=tuple(notes))


def _lines(text: str) -> list[tuple[int, list[str]]]:
    split = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in split if words]
