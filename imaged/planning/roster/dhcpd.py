"""Hosts in dhcpd.conf(5): ISC's reservations."""

import re
from collections.abc import Iterator

from imaged.model.errors import BadInput
from imaged.planning.roster.entries import Entry, Roster, address, mac

_TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\]|\\.)*"|[{};]|[^\s{};"#]+', re.DOTALL)


def dhcpd(text: str) -> Roster:
    """Every ``host`` declaration, wherever it stands. Those without an Ethernet address are told, not taken."""
    tokens = list(_tokens(text))
    entries, notes = [], []
    for at, (number, word) in enumerate(tokens):
        if word != "host" or at + 2 >= len(tokens) or tokens[at + 2][1] != "{" or not _begins(tokens, at):
            continue
        entry, unread = _host(tokens[at + 1][1].strip('"'), tokens, at + 3, number)
        if entry.macs:
            entries.append(entry)
        else:
            notes.append((number, f"host {entry.name} has no Ethernet address"))
        notes += [(line, f"host {entry.name}: {what!r} is not carried over") for line, what in unread]
    return Roster(tuple(entries), notes=tuple(notes))


def _begins(tokens: list[tuple[int, str]], at: int) -> bool:
    return at == 0 or tokens[at - 1][1] in "{};"


def _host(name: str, tokens: list[tuple[int, str]], at: int, number: int) -> tuple[Entry, list[tuple[int, str]]]:
    macs, where, shown, unread = [], None, name, []
    for line, words in _statements(tokens, at, number):
        match words:
            case ["hardware", "ethernet", text]:
                macs.append(mac(text, f"line {line}"))
            case ["fixed-address", text] if re.fullmatch(r"[\d.]+", text):
                where = address(text, f"line {line}")
            case ["option", "host-name", text]:
                shown = text.strip('"')
            case _:
                unread.append((line, " ".join(words)))
    return Entry(shown.partition(".")[0].lower(), tuple(macs), where), unread


def _statements(tokens: list[tuple[int, str]], at: int, number: int) -> Iterator[tuple[int, list[str]]]:
    words: list[str] = []
    line = number
    for line, token in tokens[at:]:
        if token == "}":
            return
        if token == "{":
            raise BadInput(f"line {line}: a block within a host is not understood")
        if token == ";":
            yield line, words
            words = []
        else:
            words.append(token)
    raise BadInput(f"line {line}: a host that does not end")


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    number, done = 1, 0
    for found in _TOKEN.finditer(text):
        number, done = number + text.count("\n", done, found.start()), found.start()
        if not found[0].startswith("#"):
            yield number, found[0]
