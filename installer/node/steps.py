"""Carries out the tree steps of a plan on this node: idempotent, inside the root, output to the log.

The steps are those of ``imaged.model.plan``, read as plain JSON: ``{"step": "WriteFile", ...}``.
"""

import errno
import glob
import os
import shutil
import stat
import tempfile
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

from installer.node import esp
from installer.node.errors import Failed, Skipped
from installer.node.patterns import matcher
from installer.node.place import inside, lasting
from installer.node.process import Say, run

Step = Dict[str, Any]
_GLOB = frozenset("*?[")


def due(triggered: Iterable[Dict[str, Any]], changed: Sequence[bytes]) -> Tuple[Step, ...]:
    """The steps whose patterns match a changed path, in their order; those without patterns always. Pure."""
    found: List[Step] = []
    for each in triggered:
        when = each.get("when") or ()
        if not when or any(map(matcher(when), changed)):
            found.append(each["step"])
    return tuple(found)


def written(triggered: Iterable[Dict[str, Any]]) -> Tuple[str, ...]:
    """Paths and patterns that the steps themselves write, remove or link. Pure."""
    steps = [each["step"] for each in triggered]
    moved = [str(step["source"]) for step in steps if step["step"] == "MoveFile"]
    return tuple([str(step["path"]) for step in steps if step["step"] in _WRITERS] + moved)


def carry_out(step: Step, root: str, say: Say) -> bool:
    """Whether a path was written, linked or removed. Raises Failed with the step's own reason, and Skipped."""
    do = _STEPS.get(str(step.get("step")))
    if do is None:
        raise Failed(
            "{!r} is no step of an update".format(step.get("step")), hint="The agent is older than the server."
        )
    try:
        return do(step, root, say)
    except OSError as error:
        what = "something is mounted over it" if error.errno == errno.EBUSY else error.strerror or str(error)
        raise Failed(what, where=str(step.get("path", error.filename or ""))) from None


def _write_file(step: Step, root: str, say: Say) -> bool:
    path = lasting(root, step["path"])
    content, mode = step["content"].encode("utf-8", "surrogateescape"), int(step.get("mode") or "0644", 8)
    try:
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_size == len(content) and stat.S_IMODE(status.st_mode) == mode:
            with open(path, "rb") as file:
                if file.read() == content:
                    return False
    except FileNotFoundError:
        pass
    say("writes {}".format(step["path"]))
    write_atomically(path, content, mode)
    return True


def write_atomically(path: str, content: bytes, mode: int, dress: Callable[[int], None] = lambda fd: None) -> None:
    """At every moment the old or the whole new file is there, also after a power cut. Owner root, as the writer is,
    unless ``dress`` gives the open file another."""
    _make_directories(os.path.dirname(path))
    temporary = os.path.join(os.path.dirname(path), ".imaged-{}".format(os.getpid()))
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
            try:
                os.fchmod(file.fileno(), mode)
            except PermissionError:
                pass  # vfat refuses modes that it cannot show
            dress(file.fileno())
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def _make_directories(path: str) -> None:
    if not os.path.isdir(path):
        _make_directories(os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, 0o755)


def _remove_path(step: Step, root: str, say: Say) -> bool:
    found = matches(root, step["path"])
    for path in found:
        say("removes {}".format(path[len(root.rstrip("/")) :]))
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        elif not os.path.ismount(path):
            shutil.rmtree(path)
    return bool(found)


def matches(root: str, pattern: str) -> List[str]:
    """What an anchored shell pattern names inside ``root``; links on the way are followed, the last is not."""
    found = [""]
    for part in pattern.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            raise Failed("{!r} is not an anchored pattern".format(pattern), hint="This is a fault of the plan.")
        if _GLOB & set(part):
            bases = ((base, inside(root, base or "/")) for base in found)
            found = [
                "{}/{}".format(base, os.path.basename(name))
                for base, here in bases
                for name in sorted(glob.glob(os.path.join(glob.escape(here), part)))
            ]
        else:
            found = ["{}/{}".format(base, part) for base in found]
    return [path for path in (inside(root, each, follow=False) for each in found) if os.path.lexists(path)]


def _make_link(step: Step, root: str, say: Say) -> bool:
    path = inside(root, step["path"], follow=False)
    if os.path.islink(path) and os.readlink(path) == step["target"]:
        return False
    say("links {} to {}".format(step["path"], step["target"]))
    _make_directories(os.path.dirname(path))
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    temporary = os.path.join(os.path.dirname(path), ".imaged-{}".format(os.getpid()))
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(step["target"], temporary)
    os.rename(temporary, path)
    return True


def _run_in_target(step: Step, root: str, say: Say) -> bool:
    argv = tuple(step["argv"])
    prefix: Tuple[str, ...] = () if root == "/" else ("chroot", root)
    run(prefix + argv, say, stdin=step.get("stdin") or "", timeout=step.get("timeout") or 900)
    return False


def _copy_file(step: Step, root: str, say: Say) -> bool:
    changed = esp.copy(inside(root, step["source"]), inside(root, step["path"]))
    if changed:
        say("copied {} to {}".format(step["source"], step["path"]))
    return changed


def _move_file(step: Step, root: str, say: Say) -> bool:
    source = inside(root, step["source"], follow=False)
    if not os.path.lexists(source):
        return False
    say("renames {} to {}".format(step["source"], step["path"]))
    with open(source, "rb") as file:  # a name must not come before what is behind it
        os.fsync(file.fileno())
    os.rename(source, inside(root, step["path"], follow=False))
    return True


def _install_grub(step: Step, root: str, say: Say) -> bool:
    with esp.stage(inside(root, step["esp"])):
        argv = tuple(step["argv"]) + ("--efi-directory={}/{}".format(step["esp"], esp.STAGE),)
        return _run_in_target({"argv": argv}, root, say)


def _mirror_esp(step: Step, root: str, say: Say) -> bool:
    """A disk that is gone must not keep the others from being up to date: that is what there are several for."""
    lost: List[str] = []
    for device in step["devices"]:
        place = tempfile.mkdtemp(prefix="imaged-", dir="/run")
        try:
            run(("mount", "-t", "vfat", "-o", "umask=0077", device, place), say)
        except Failed as error:
            lost.append("{}: {}".format(device, error.hint or error.what))
        else:
            try:
                if esp.mirror(inside(root, step["source"]), place):
                    say("copied {} to {}".format(step["source"], device))
            finally:
                run(("umount", place), say)
        finally:
            os.rmdir(place)
    if lost:
        raise Skipped("has no copy on " + ", ".join(lost), where=step["source"])
    return False


def _check_file(step: Step, root: str, say: Say) -> bool:
    path = inside(root, step["path"])
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    if not status.st_size:
        raise Failed("is empty", where=step["path"])
    if step.get("mode") and mode != int(step["mode"], 8):
        raise Failed("has mode {:04o} instead of {}".format(mode, step["mode"]), where=step["path"])
    if step.get("contains") or step.get("lacks"):
        with open(path, "rb") as file:
            content = file.read()
        if step.get("contains", "").encode("utf-8", "surrogateescape") not in content:
            raise Failed("does not hold {!r}".format(step["contains"]), where=step["path"])
        for word in step.get("lacks", ()):
            if word.encode("utf-8", "surrogateescape") in content:
                raise Failed("still holds {!r}".format(word), where=step["path"])
    return False


_WRITERS = frozenset(("WriteFile", "CopyFile", "MoveFile", "RemovePath", "MakeLink"))
_STEPS: Dict[str, Callable[[Step, str, Say], bool]] = {
    "WriteFile": _write_file,
    "CopyFile": _copy_file,
    "MoveFile": _move_file,
    "RemovePath": _remove_path,
    "MakeLink": _make_link,
    "RunInTarget": _run_in_target,
    "InstallGrub": _install_grub,
    "MirrorEsp": _mirror_esp,
    "CheckFile": _check_file,
}
