"""The manifest that a node compares itself with, and what is proven by it: kept, brought up to date, exchanged."""

import hashlib
import json
import os
from typing import Any, Dict, Iterable, Iterator, NamedTuple

from installer.node import delta
from installer.node.errors import Broken, NoServer
from installer.node.server import Server
from installer.node.stamps import Stamps
from installer.node.state import State

_BLOCK = 1 << 20
_DIGEST = "manifest.sha256"


class Known(NamedTuple):
    """A manifest's file, its sha256, and the stamps of its lines. ``fresh``: it is not the kept one yet."""

    path: str
    sha256: str
    stamps: Stamps
    fresh: bool


def bring(state: State, server: Server, plan: Dict[str, Any]) -> Known:
    """The manifest of ``plan``: the kept one, or that and a difference, or a whole one from the server.

    What is kept stays until ``commit``. Raises NoServer when nothing that comes has the right hash.
    """
    wanted = plan["manifest_sha256"]
    kept = _kept_digest(state)
    if kept == wanted:
        return Known(state.path("manifest"), wanted, _stamps(state, kept, plan), False)
    target = state.path("manifest.next")
    for basis in dict.fromkeys((kept, "")):
        try:
            stamps = _download(state, server, plan, basis, target)
        except (Broken, delta.Misfit):
            if not basis:
                raise
            continue  # a difference is a favour: the whole one may come
        if digest(target) == wanted:
            return Known(target, wanted, stamps if len(stamps) else Stamps.blank(_count(target)), True)
    state.forget("manifest.next")
    raise NoServer("sent a manifest that is not the one of {}".format(plan["image"]), where=server.url)


def _download(state: State, server: Server, plan: Dict[str, Any], basis: str, target: str) -> Stamps:
    """What the server sends, put together in ``target``; the stamps that still hold, none for a whole manifest."""
    fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "w+b") as new, server.manifest(plan["manifest"], basis) as download:
        if download.delta:
            with open(state.path("manifest"), "rb") as old:
                return delta.apply(_lines(download.blocks), old, new, _stamps(state, basis, plan))
        for block in download.blocks:
            new.write(block)
    return Stamps()


def kept(state: State) -> Known:
    """The manifest of the version that the node is at, as the last update left it. Raises FileNotFoundError."""
    path = state.path("manifest")
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    found = _kept_digest(state)
    return Known(path, found, _stamps(state, found, state.value("plan.json") or {}), False)


def commit(state: State, known: Known, plan: Dict[str, Any]) -> None:
    """The node is at ``plan`` now."""
    if known.fresh:
        with open(known.path, "rb") as file:
            os.fsync(file.fileno())
        state.forget(_DIGEST)
        os.rename(known.path, state.path("manifest"))
    state.keep(_DIGEST, known.sha256 + "\n")
    remember(state, known, plan)
    state.keep("plan.json", json.dumps(plan))
    state.keep("serial", plan["serial"] + "\n")


def remember(state: State, known: Known, plan: Dict[str, Any]) -> None:
    """Keep what a comparison has proven, for the next one."""
    known.stamps.write(state.path("stamps"), known.sha256)
    state.keep("rules", _rules(plan) + "\n")


def _kept_digest(state: State) -> str:
    """Written down, since a manifest takes a moment to read; not there if we died while it was exchanged."""
    return state.text(_DIGEST) or digest(state.path("manifest"))


def digest(path: str) -> str:
    """sha256 of a file in hex; empty where there is none."""
    hashed = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while True:
                block = file.read(_BLOCK)
                if not block:
                    return hashed.hexdigest()
                hashed.update(block)
    except FileNotFoundError:
        return ""


def _stamps(state: State, sha256: str, plan: Dict[str, Any]) -> Stamps:
    """Those of the last run. Under other rules a directory may hold what was passed over and must be listed again."""
    path = state.path("manifest")
    stamps = Stamps.read(state.path("stamps"), sha256) if sha256 else None
    if stamps is None:
        return Stamps.blank(_count(path) if sha256 else 0)
    if state.text("rules") != _rules(plan):
        with open(path, "rb") as file:
            stamps.forget(number for number, line in enumerate(file) if b" type=dir " in line)
    return stamps


def _rules(plan: Dict[str, Any]) -> str:
    """What decides which paths are passed over, as a hash."""
    said = [plan.get(key) for key in ("protect", "overrides", "fixups", "merge")]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode("ascii")).hexdigest()


def _count(path: str) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        whole = (rest + block).split(b"\n")
        rest = whole.pop()
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest + b"\n"
