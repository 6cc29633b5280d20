"""rsync's filter rules: reading an admin's, escaping names, and what a list of them decides about a path. Pure.

rsync itself applies them. We must know the answer beforehand for what is named on its command line: rsync filters
nothing that is named there.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from imaged.model.errors import BadInput


def admin_rule(text: str) -> str:
    """``P`` and ``- P`` leave out, ``+ P`` takes; as in rsync's own files of excludes. Raises BadInput."""
    sign, pattern = ("-", text) if text[:2] not in ("+ ", "- ") else (text[0], text[2:])
    if not pattern.strip("/") or "\0" in pattern:
        raise BadInput(f"{text!r} is no pattern", hint="Write it like /srv/scratch/* or '+ /var/log/app/'.")
    return f"{sign} {pattern}"


def admin_rules(text: str, *, where: str) -> tuple[str, ...]:
    """The rules of a file, one in a line; blank lines and those beginning with ``#`` or ``;`` say nothing."""
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    try:
        return tuple(admin_rule(line) for line in lines if line and line[0] not in "#;")
    except BadInput as error:
        raise BadInput(error.what, where=where, hint=error.hint) from None


def escape(path: str) -> str:
    """A pattern that means exactly this path: a backslash escapes only where there is a wildcard (rsync(1))."""
    return re.sub(r"([\\*?\[])", r"\\\1", path) if re.search(r"[*?\[]", path) else path


def takes(rules: Iterable[str], path: str, *, directory: bool = True) -> bool:
    """Whether rsync would come to ``path``: every directory on the way is asked about as well."""
    ordered = tuple(rules)
    parts = path.strip("/").split("/")
    ways = ["/" + "/".join(parts[: index + 1]) for index in range(len(parts))] if path.strip("/") else []
    return all(_verdict(ordered, way, directory or way != ways[-1]) for way in ways)


def exceptions(own: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """What must stand between an admin's rules and the default ones, so that each ``+ P`` below an excluded directory
    is reached: the directories on the way are taken, the rest of their contents is not."""
    opened: dict[str, None] = {}
    for rule in own:
        sign, pattern = rule.split(" ", 1)
        if sign != "+" or not pattern.startswith("/"):
            continue
        parts = pattern.strip("/").split("/")
        for index in range(1, len(parts)):
            above = "/" + "/".join(parts[:index])
            if not re.search(r"[*?\[]", above) and not takes(default, above):
                opened.setdefault(above)
    return (*(f"+ {above}/" for above in opened), *(f"- {above}/*" for above in opened))


def _verdict(rules: tuple[str, ...], path: str, directory: bool) -> bool:
    for rule in rules:
        sign, pattern = rule.split(" ", 1)
        if (directory or not pattern.endswith("/")) and _expression(pattern).search(path):
            return sign == "+"
    return True


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    """rsync(1), PATTERN MATCHING RULES. The path begins with ``/``."""
    body = pattern.rstrip("/") if not pattern.endswith("/***") else pattern[: -len("/***")]
    below = r"(/.*)?" if pattern.endswith("/***") else ""
    start = "^" if body.startswith("/") else r"(^|/)"
    return re.compile(start + _translated(body) + below + r"\Z", re.DOTALL)


def _translated(pattern: str) -> str:
    wild = bool(re.search(r"[*?\[]", pattern))
    out = []
    at = 0
    while at < len(pattern):
        bracket = re.compile(r"\[([!^]?)(\]?[^]]*)\]").match(pattern, at)
        if pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif pattern[at] == "*":
            out.append("[^/]*")
            at += 1
        elif pattern[at] == "?":
            out.append("[^/]")
            at += 1
        elif bracket:
            inner = bracket[2].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
            out.append(f"[{'^' if bracket[1] else ''}{inner}]")
            at = bracket.end()
        elif wild and pattern[at] == "\\" and at + 1 < len(pattern):
            out.append(re.escape(pattern[at + 1]))
            at += 2
        else:
            out.append(re.escape(pattern[at]))
            at += 1
    return "".join(out)
