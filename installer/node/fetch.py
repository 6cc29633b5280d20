"""Gets contents that the node lacks into staging, and proves each by its sha256 before anything else may use it."""

import os
import re
import stat
from typing import Callable, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from installer.node import hashed
from installer.node.errors import Failed, NoServer
from installer.node.manifest import Entry
from installer.node.place import Place
from installer.node.process import Ended, Say, tail, watch
from installer.node.stage import Stage

# Seconds before each new attempt: four minutes in all, then the update fails and what has come stays for a rerun.
PAUSES = (1, 2, 4, 8, 15, 30, 60, 60, 60)
# rsync(1), EXIT VALUES: 5 a daemon that died while greeting, 10 socket, 12 protocol, 30 and 35 timeouts; 255 ssh.
_NETWORK = frozenset((5, 10, 12, 30, 35, 255))
_PARTLY = frozenset((23, 24))  # something is missing or unreadable there; what it is, the hashes tell
_DELTA = 1 << 20  # bytes


class Wanted(NamedTuple):
    """One content to fetch: ``source`` is the module, ``image`` or ``overrides``."""

    path: bytes
    entry: Entry
    source: str


class Source(NamedTuple):
    """Where contents come from: rsync's source for each module, and the proof that rsync takes from its environment
    (an argument would be in every process list). After ``silence`` seconds the server counts as hung; while it lets us
    wait for our turn it does not."""

    modules: Dict[str, str]
    secret: Dict[str, str]
    silence: int = 300


def server(host: str, port: int, node: str, secret: str) -> Source:
    """The server's rsync service: the host of the URL is not looked at, the proxy is what we connect to."""
    shown = "[{}]".format(host) if ":" in host else host
    proxy = "{}:{}@{}:{}".format(node, secret, shown, port)
    return Source({"image": "rsync://imaged/image/", "overrides": "rsync://imaged/overrides/"}, {"RSYNC_PROXY": proxy})


def argv(source: str, root: str, target: str, whole: bool, silence: int = 300) -> Tuple[str, ...]:
    """rsync for contents only: modes, owners, links and all else are ours to set, from the manifest.

    --ignore-times, since we know better what differs; --compare-dest gives the file that is there now as the basis of a
    delta; --partial leaves a big file's beginning for the rerun. Sparse files stay sparse.
    """
    common = ("rsync", "-t", "-S", "-I", "--partial", "--no-inc-recursive", "--files-from=-", "--from0")
    limit = "--timeout={}".format(silence)
    return common + (limit, "--whole-file" if whole else "--compare-dest=" + root, source, target + "/")


def names(paths: Iterable[bytes]) -> bytes:
    """rsync's list of files. ``./`` because a line that begins with ``#`` or ``;`` would be a comment."""
    return b"".join(b"./" + path + b"\0" for path in paths)


def verdict(code: int, errors: str) -> Tuple[str, str]:
    """``done``, ``again`` or ``failed``, and why. Pure."""
    if code == 0:
        return "done", ""
    if "No space left on device" in errors or "Disk quota exceeded" in errors:
        return "failed", "the disk is full"
    refused = re.search(r"bad response from proxy -- HTTP/\d\.\d (\d{3}) ?(.*)", errors)
    if refused:
        why = "the server answered {} {}".format(refused.group(1), refused.group(2)).strip()
        return ("again" if refused.group(1).startswith("5") else "failed"), why
    said = re.search(r"@ERROR: (.*)", errors)
    if said:
        return ("again" if "max connections" in said.group(1) else "failed"), "the server says: " + said.group(1)
    if code in _PARTLY:
        return "done", ""
    if code < 0 or code in _NETWORK:
        return "again", "rsync ended with {}".format(code)
    return "failed", "rsync ended with {}".format(code)


class Fetch:
    """Fetches for one update. ``sleep`` waits between attempts."""

    def __init__(self, place: Place, stage: Stage, source: Source, say: Say, sleep: Callable[[float], None]) -> None:
        self._place = place
        self._stage = stage
        self._source = source
        self._say = say
        self._sleep = sleep

    def all(self, wanted: Sequence[Wanted]) -> None:
        """Every content is in staging and proven when this returns. Raises Failed; the tree is untouched."""
        missing = self._missing(wanted)
        if missing:
            large = {each.path for each in missing if self._is_worth_a_delta(each)}
            self._get([each for each in missing if each.path not in large], whole=True)
            self._get([each for each in missing if each.path in large], whole=False)
            damaged = self._missing(missing)
            if damaged:  # once more, from nothing: a delta onto a file that changed under rsync ends like this too
                for each in damaged:
                    self._discard(each.path)
                self._get(damaged, whole=True)
                self._blame(self._missing(damaged))
        self._stage.sync()  # one for all, not an fsync for each: the renames that follow must not outrun the contents

    def _is_worth_a_delta(self, each: Wanted) -> bool:
        """To find what is the same in both costs the server more than to send a small file."""
        if each.entry.size < _DELTA:
            return False
        status = self._place.lstat(each.path)
        return status is not None and stat.S_ISREG(status.st_mode)

    def _missing(self, wanted: Iterable[Wanted]) -> List[Wanted]:
        return [each for each in wanted if not self.proven(each)]

    def proven(self, each: Wanted) -> bool:
        """Whether staging holds exactly what the manifest says."""
        staged = self._stage.content(each.path)
        status = self._place.lstat(staged)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != each.entry.size:
            return False
        directory, name = self._place.parent(staged)
        return digest(directory, name) == each.entry.sha256

    def _get(self, wanted: Sequence[Wanted], whole: bool) -> None:
        for module in dict.fromkeys(each.source for each in wanted):
            paths = [each.path for each in wanted if each.source == module]
            for top, group in self._stage.rows(paths).items():
                target = self._place.full(self._stage.directory(top))
                root, silence = os.fsdecode(self._place.root), self._source.silence
                command = argv(self._source.modules[module], root, os.fsdecode(target), whole, silence)
                self._until_done(command, names(group))

    def _until_done(self, command: Sequence[str], listed: bytes) -> None:
        for pause in PAUSES + (0,):
            ended = watch(command, self._say, stdin=listed, secret=self._source.secret)
            outcome, reason = verdict(ended.code, ended.errors)
            if outcome == "done":
                return
            if outcome == "failed" or not pause:
                raise _failure(ended, reason, outcome)
            self._say("fetch interrupted ({}), again in {} s".format(reason, pause))
            self._sleep(pause)

    def _discard(self, path: bytes) -> None:
        staged = self._stage.content(path)
        if self._place.lstat(staged) is not None:
            directory, name = self._place.parent(staged)
            os.unlink(name, dir_fd=directory)

    def _blame(self, damaged: Sequence[Wanted]) -> None:
        if not damaged:
            return
        shown = [os.fsdecode(b"/" + each.path).encode("utf-8", "replace").decode() for each in damaged[:5]]
        more = " and {} more".format(len(damaged) - 5) if len(damaged) > 5 else ""
        raise Failed(
            "the stored file is damaged: what the server sent is twice not what the manifest says",
            where=", ".join(shown) + more,
            hint="The node was not touched. On the server: imaged verifyimage.",
        )


def digest(directory: int, name: bytes) -> str:
    """sha256 of a regular file in an open directory, in hex."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return hashed.sha256(fd)
    finally:
        os.close(fd)


def _failure(ended: Ended, reason: str, outcome: str) -> Failed:
    kind = NoServer if outcome == "again" else Failed
    hint = "\n  ".join(tail(ended))
    return kind(reason, where="rsync", hint=hint)
