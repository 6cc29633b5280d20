"""``imaged syncfiles`` on a node, for the server's verb of that name: files put in their places where they differ.

In comes JSON on standard input, {"files": [...], "then": ""}; a file has its path, sha256, owner, group, mode, merge,
then, and its content in base64, or null where only a look is wanted. Out goes a line of JSON that says what was done.
"""

import base64
import binascii
import grp
import hashlib
import json
import os
import pwd
import stat
import sys
from typing import Any, Dict, List, Optional, Tuple

from installer.node import users
from installer.node.errors import DONE, FAILED, BadUsage, Failed
from installer.node.merging import slurp
from installer.node.place import inside, lasting
from installer.node.process import Say, tail, watch
from installer.node.state import State
from installer.node.steps import write_atomically
from installer.node.words import local, readable

SAME, ADD, CHANGE, ATTRIBUTES, MERGE, BROKEN = "same", "add", "change", "attributes", "merge", "failed"
_BASES = "synced"  # in our directory: what the server's users and groups were the last time
_TIMEOUT = 600  # seconds for a command

File = Dict[str, Any]


def syncfiles(root: str, dry_run: bool) -> int:
    """Exit code. Raises Failed for what keeps it from beginning."""
    try:
        asked = local(json.loads(sys.stdin.buffer.read().decode("utf-8")))
        files = [_checked(each) for each in asked["files"]]
        then = str(asked["then"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadUsage("standard input is not what the server sends: {}".format(error)) from None
    if dry_run or root != "/":  # a tree that does not run has nobody else in it, and is left without a lock
        answer = sync(root, files, then, dry_run, _quiet)
    else:
        with State(root).locked():
            answer = sync(root, files, then, dry_run, _quiet)
    sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
    done = [each["action"] != BROKEN for each in answer["files"]] + [not each["code"] for each in answer["ran"]]
    return DONE if all(done) else FAILED


def sync(root: str, files: List[File], then: str, dry_run: bool, say: Say) -> Dict[str, Any]:
    """{"files": [{path, action, message}], "said": [...], "ran": [{command, code, message}]}."""
    # Users first: files may belong to new ones.
    actions, said = _merge(root, [each for each in files if each["merge"]], dry_run)
    for each in files:
        if not each["merge"]:
            actions[each["path"]] = _guarded(root, each, dry_run)
    changed = [each for each in files if actions[each["path"]][0] not in (SAME, BROKEN)]
    commands = [each["then"] for each in changed] + [then if changed else ""]
    ran = [] if dry_run or root != "/" else [_run(each, say) for each in _once(commands)]
    rows = [dict(zip(("path", "action", "message"), (each["path"],) + actions[each["path"]])) for each in files]
    return {
        "files": [{key: readable(value) for key, value in row.items()} for row in rows],
        "said": [readable(line) for line in said],
        "ran": ran,
    }


def _guarded(root: str, each: File, dry_run: bool) -> Tuple[str, str]:
    try:
        return _place(root, each, dry_run)
    except Failed as error:
        return BROKEN, error.what
    except OSError as error:
        return BROKEN, error.strerror or str(error)


def _place(root: str, each: File, dry_run: bool) -> Tuple[str, str]:
    """Put one file where it belongs; what was, or would be, done."""
    at = lasting(root, each["path"])
    try:
        status = os.lstat(at)  # type: Optional[os.stat_result]
    except FileNotFoundError:
        status = None
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise Failed("is a directory here")
    uid, gid = _number(root, "passwd", each["owner"]), _number(root, "group", each["group"])
    mode = int(each["mode"], 8)
    if status is None or not stat.S_ISREG(status.st_mode) or _sha256(at) != each["sha256"]:
        if not dry_run:
            _write(at, _content(each), uid, gid, mode)
        return (ADD if status is None else CHANGE), ""
    if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, mode):
        return SAME, ""
    if not dry_run:
        os.chown(at, uid, gid)
        os.chmod(at, mode)  # chown(2) takes the set-user-ID bit away
    return ATTRIBUTES, ""


def _write(at: str, content: bytes, uid: int, gid: int, mode: int) -> None:
    """One rename(2): the old or the whole new file is there at every moment, with its owner and its label."""
    write_atomically(at, content, mode, lambda fd: _dress(fd, at, uid, gid, mode))


def _dress(fd: int, at: str, uid: int, gid: int, mode: int) -> None:
    os.fchown(fd, uid, gid)
    os.fchmod(fd, mode)
    try:
        os.setxattr(fd, "security.selinux", os.getxattr(at, "security.selinux"))
    except OSError:
        pass  # there is none to keep, or no SELinux


def _merge(root: str, files: List[File], dry_run: bool) -> Tuple[Dict[str, Tuple[str, str]], List[str]]:
    """Users and groups of the server added to those of the node by name, see ``users``."""
    home = os.path.join(State(root).home, _BASES)
    names = {each["path"]: users.names((each["path"],))[0] for each in files}
    bases = {path: slurp(os.path.join(os.fsencode(home), name)) for path, name in names.items()}
    mine = {path: slurp(os.fsencode(inside(root, path))) for path in names}
    if any(each["content"] is None for each in files):
        return {each["path"]: (_glimpse(each, bases, mine), "") for each in files}, []
    theirs = {each["path"]: _content(each) for each in files}
    merged = users.merge({names[p]: users.Versions(bases[p], mine[p], theirs[p]) for p in names})
    actions = {}  # type: Dict[str, Tuple[str, str]]
    for each in files:
        path, text = each["path"], merged.texts[names[each["path"]]]
        actions[path] = (SAME if text == mine[path] else ADD if mine[path] is None else MERGE, "")
        if not dry_run:
            try:
                if text != mine[path]:
                    _rewrite(root, each, text)
                _private(os.path.dirname(os.path.join(home, path.lstrip("/"))))
                write_atomically(os.path.join(home, path.lstrip("/")), theirs[path], 0o600)
            except OSError as error:
                actions[path] = (BROKEN, error.strerror or str(error))
    return actions, [line.replace("the image", "the server") for line in merged.said]


def _private(path: str) -> None:
    """Shadow is among what lies there."""
    if not os.path.isdir(path):
        _private(os.path.dirname(path))
        os.mkdir(path, 0o700)


def _glimpse(each: File, bases: Dict[str, Optional[bytes]], mine: Dict[str, Optional[bytes]]) -> str:
    """Whether the server has nothing new for us; what a merge would change, only its content tells."""
    base = bases[each["path"]]
    known = base is not None and hashlib.sha256(base).hexdigest() == each["sha256"]
    return SAME if known and mine[each["path"]] is not None else MERGE


def _rewrite(root: str, each: File, text: bytes) -> None:
    """With the owner and mode that the file has here."""
    at = inside(root, each["path"])
    try:
        status = os.stat(at)
        uid, gid, mode = status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
    except FileNotFoundError:
        uid, gid, mode = 0, 0, int(each["mode"], 8)
    _write(at, text, uid, gid, mode)


def _number(root: str, file: str, name: str) -> int:
    """Of a user or a group of the tree; on a node that runs, also of those that it has from elsewhere."""
    if name.isdigit() or name == "root":
        return int(name) if name != "root" else 0
    for line in (slurp(os.fsencode(inside(root, "/etc/" + file))) or b"").splitlines():
        fields = line.split(b":")
        if fields[0] == os.fsencode(name) and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    try:
        if root == "/":
            return pwd.getpwnam(name).pw_uid if file == "passwd" else grp.getgrnam(name).gr_gid
    except KeyError:
        pass
    raise Failed("there is no {} {!r} here".format("user" if file == "passwd" else "group", name))


def _content(each: File) -> bytes:
    if each["content"] is None:
        raise Failed("has changed since it was looked at", hint="Run it again.")
    try:
        content = base64.b64decode(each["content"], validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if hashlib.sha256(content).hexdigest() != each["sha256"]:
        raise Failed("was damaged on its way", where=each["path"])
    return content


def _sha256(path: str) -> str:
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            hashed.update(block)
    return hashed.hexdigest()


def _run(command: str, say: Say) -> Dict[str, Any]:
    try:
        ended = watch(("sh", "-c", command), say, timeout=_TIMEOUT)
    except Failed as error:
        return {"command": readable(command), "code": 124, "message": error.what}
    message = "\n".join(tail(ended)) if ended.code else ""
    return {"command": readable(command), "code": ended.code, "message": readable(message)}


def _once(commands: List[str]) -> List[str]:
    return [each for number, each in enumerate(commands) if each and each not in commands[:number]]


def _checked(each: File) -> File:
    for key in ("path", "sha256", "owner", "group", "mode", "then"):
        if not isinstance(each[key], str):
            raise ValueError(key)
    if not each["path"].startswith("/") or ".." in each["path"].split("/"):
        raise ValueError("{!r} is no path".format(each["path"]))
    int(each["mode"], 8)
    if not isinstance(each["merge"], bool) or not isinstance(each["content"], (str, type(None))):
        raise ValueError("content")
    return each


def _quiet(line: str) -> None:
    """What a command prints is in the answer."""
