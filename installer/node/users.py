"""Users and groups, merged by name instead of overwritten: passwd(5), shadow(5), group(5), gshadow(5), subuid(5). Pure.

Three texts go in: ``base`` is what the image had when the node was last in step, ``mine`` the node's, ``theirs`` the
image's now. Field by field, whoever changed something since ``base`` wins; where both did, the node does, and it is
said.
"""

from typing import Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

# Files whose lines stand for the same names, in the order in which a name's fate is decided.
FAMILIES = (
    (b"etc/passwd", b"etc/shadow", b"etc/subuid", b"etc/subgid"),
    (b"etc/group", b"etc/gshadow"),
)
_LISTS = {b"etc/group": (3,), b"etc/gshadow": (2, 3)}  # fields that are sets of names
_NUMBERED = {b"etc/passwd": b"uid", b"etc/group": b"gid"}  # the third field must be one name's only

Records = Dict[bytes, Tuple[bytes, ...]]


class Versions(NamedTuple):
    """One file three times; None: it was not there."""

    base: Optional[bytes]
    mine: Optional[bytes]
    theirs: Optional[bytes]


class Merged(NamedTuple):
    """The texts by path, and what a person should know: conflicts that the node won, numbers with two names."""

    texts: Dict[bytes, bytes]
    said: Tuple[str, ...]


def merge(files: Dict[bytes, Versions]) -> Merged:
    """Merge the files of ``FAMILIES`` that are given. Without a base, the image only adds."""
    texts: Dict[bytes, bytes] = {}
    said: List[str] = []
    for family in FAMILIES:
        given = [path for path in family if path in files]
        gone = _gone({path: files[path] for path in given})
        for path in given:
            text, words = _file(path, files[path], gone)
            texts[path] = text
            said += words
    return Merged(texts, tuple(said))


def _gone(files: Dict[bytes, Versions]) -> Set[bytes]:
    """Names that the image has dropped and nobody here has touched in any file of the family."""
    read = [tuple(records(text or b"") for text in each) for each in files.values()]
    dropped: Set[bytes] = set()
    for base, _, theirs in read[:1]:
        dropped = {name for name in base if name not in theirs}
    return {name for name in dropped if all(mine.get(name, base.get(name)) == base.get(name) for base, mine, _ in read)}


def _file(path: bytes, versions: Versions, gone: Set[bytes]) -> Tuple[bytes, List[str]]:
    if versions.mine is None or versions.mine == versions.theirs:
        return versions.theirs or b"", []
    if versions.theirs is None or versions.theirs == versions.base:
        return versions.mine, []
    base, mine, theirs = (records(text or b"") for text in versions)
    merged: Records = {}
    said: List[str] = []
    for name in _order(mine, theirs):
        lines, conflicts = _lines(path, base.get(name), mine.get(name), theirs.get(name), name in gone)
        if lines is not None:
            merged[name] = lines
        said += ["{}: {}: {}, the node's is kept".format(_text(path), _text(name), what) for what in conflicts]
    said += _collisions(path, merged, (mine, theirs))
    return b"".join(line + b"\n" for lines in merged.values() for line in lines), said


def records(text: bytes) -> Records:
    """Lines by name, in their order: subuid(5) may have several for one. What is no record stands for itself."""
    found: Records = {}
    for line in text.splitlines():
        if line.strip():
            name = line.partition(b":")[0] if b":" in line and not line.startswith(b"#") else line
            found[name] = found.get(name, ()) + (line,)
    return found


def _order(mine: Records, theirs: Records) -> List[bytes]:
    """The image's order, each name that only the node has behind the one it follows there.

    Compatibility entries (``+``, ``+::::::``) end a file: what follows them would be shadowed by NIS.
    """
    order = list(theirs)
    before: Optional[bytes] = None
    for name in mine:
        if name not in theirs:
            order.insert(order.index(before) + 1 if before is not None else 0, name)
        before = name
    return sorted(order, key=lambda name: name.startswith((b"+", b"-")))


def _lines(
    path: bytes,
    base: Optional[Tuple[bytes, ...]],
    mine: Optional[Tuple[bytes, ...]],
    theirs: Optional[Tuple[bytes, ...]],
    gone: bool,
) -> Tuple[Optional[Tuple[bytes, ...]], List[str]]:
    """One name's lines, None to have none; and the conflicts."""
    if mine == theirs or theirs == base:
        return mine, []
    if theirs is None:
        return (None, []) if gone else (mine, ["the image dropped it, the node changed it"])
    if mine is None:
        return (None, ["the node dropped it, the image changed it"]) if base is not None else (theirs, [])
    if mine == base:
        return theirs, []
    if len(mine) == len(theirs) == 1 and (base is None or len(base) == 1):
        line, conflicts = _fields(path, base[0] if base else None, mine[0], theirs[0])
        return (line,), conflicts
    return mine, ["both changed it"]


def _fields(path: bytes, base: Optional[bytes], mine: bytes, theirs: bytes) -> Tuple[bytes, List[str]]:
    ours, other = mine.split(b":"), theirs.split(b":")
    before = base.split(b":") if base is not None else None
    if len(ours) != len(other) or (before is not None and len(before) != len(ours)):
        return mine, ["both changed it"]
    fields: List[bytes] = []
    conflicts: List[str] = []
    for number, (m, t) in enumerate(zip(ours, other)):
        b = before[number] if before is not None else None
        if m == t or t == b:
            fields.append(m)
        elif m == b:
            fields.append(t)
        elif number in _LISTS.get(path, ()):
            fields.append(_members(b, m, t))
        else:
            fields.append(m)
            conflicts.append("field {} differs".format(number + 1))
    return b":".join(fields), conflicts


def _members(base: Optional[bytes], mine: bytes, theirs: bytes) -> bytes:
    """Members that either added, without those that either removed."""
    b, m, t = (text.split(b",") if text else [] for text in (base, mine, theirs))
    return b",".join([name for name in m if name in t or name not in b] + [n for n in t if n not in m and n not in b])


def _collisions(path: bytes, merged: Records, before: Tuple[Records, Records]) -> List[str]:
    """Numbers that the merge gave a second name."""
    word = _NUMBERED.get(path)
    if word is None:
        return []
    known = {frozenset(names) for each in before for names in _numbers(each).values()}
    return [
        "{}: {} {} is {}".format(_text(path), _text(word), _text(number), " and ".join(map(_text, names)))
        for number, names in _numbers(merged).items()
        if len(names) > 1 and frozenset(names) not in known
    ]


def _numbers(read: Records) -> Dict[bytes, List[bytes]]:
    found: Dict[bytes, List[bytes]] = {}
    for name, lines in read.items():
        for line in lines:
            fields = line.split(b":")
            if len(fields) > 2 and fields[2].isdigit():
                found.setdefault(fields[2], []).append(name)
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def names(paths: Iterable[str]) -> Tuple[bytes, ...]:
    """The plan's ``merge`` paths as we name them: no leading slash."""
    return tuple(path.lstrip("/").encode("utf-8", "surrogateescape") for path in paths)
