"""Which kernel starts next, and which must stay: grub.cfg read, one-shot boots and promotions decided. Pure.

The old kernel stays the default until the node has reported healthy with the new one, which is tried once
(``next_entry`` in GRUB's environment block: info grub, "Booting once"). A node that hangs comes back with the old one.
"""

import json
import re
import shlex
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

_MODULES = (b"lib/modules/", b"usr/lib/modules/")
_KERNEL = re.compile(r"(?:vmlinuz|vmlinux|kernel|Image|bzImage)-(\S+?)(?:\.gz|\.efi)?$")
_BUILDERS = ("update-initramfs", "dracut", "mkinitcpio", "mkinitfs")
_SAVED = re.compile(r"set\s+default=.?\$\{?saved_entry")


class MenuEntry(NamedTuple):
    """An entry of GRUB's menu. ``id`` is as grub-set-default wants it: ``submenu>entry``; ``linux`` the kernel."""

    id: str
    title: str
    linux: str

    @property
    def version(self) -> str:
        """``6.1.0-13-amd64``; empty for what is no kernel."""
        found = _KERNEL.search(self.linux)
        return found.group(1) if found else ""


def menu(text: str) -> Tuple[MenuEntry, ...]:
    """Every entry of a grub.cfg, in its order. GRUB's script language is read as far as grub-mkconfig writes it."""
    entries: List[MenuEntry] = []
    blocks: List[Tuple[str, str, str]] = []  # kind, id, title
    linux = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line == "}":
            if blocks:
                kind, _, title = blocks[-1]
                if kind == "menuentry":
                    path = [id_ for kind, id_, _ in blocks if kind in ("menuentry", "submenu")]
                    entries.append(MenuEntry(">".join(path), title, linux))
                blocks.pop()
        elif line.endswith("{"):
            blocks.append(_block(line))
            linux = ""
        elif line.startswith(("linux\t", "linux ", "linuxefi ", "linux16 ", "linuxefi\t", "linux16\t")):
            linux = (line.split() + [""])[1]
    return tuple(entries)


def _block(line: str) -> Tuple[str, str, str]:
    try:
        words = shlex.split(line)
    except ValueError:
        return ("", "", "")
    kind = words[0]
    title = words[1] if len(words) > 1 else ""
    for option in ("$menuentry_id_option", "--id"):
        if option in words[:-1]:
            return kind, words[words.index(option) + 1], title
    return kind, title.replace(">", ">>"), title


def entry_of(entries: Iterable[MenuEntry], version: str) -> Optional[MenuEntry]:
    """The entry that starts this kernel normally. The one that names it is taken before the one on top of the menu,
    whose kernel changes with the next update-grub."""
    fitting = [each for each in entries if each.version == version and not _is_recovery(each)]
    named = [each for each in fitting if version in each.id]
    return next(iter(named + fitting), None)


def _is_recovery(each: MenuEntry) -> bool:
    return "recovery" in each.id or "rescue" in each.id or " single" in each.title


def keeps_default(text: str) -> bool:
    """Whether this grub.cfg starts ``saved_entry``: without GRUB_DEFAULT=saved a default cannot be set."""
    return _SAVED.search(text) is not None


class Pending(NamedTuple):
    """A new kernel that waits for its first start, and the one that is the default until it is healthy."""

    new: str
    old: str
    new_entry: str
    old_entry: str


def format_pending(pending: Pending) -> str:
    """As kept in ``pending-kernel``."""
    return json.dumps(pending._asdict(), sort_keys=True) + "\n"


def parse_pending(text: str) -> Optional[Pending]:
    """None for what is damaged: a kernel that cannot be named cannot be promoted."""
    try:
        return Pending(**{key: str(value) for key, value in json.loads(text).items()})
    except (ValueError, TypeError, AttributeError):
        return None


class Verdict(NamedTuple):
    """What a start means. ``default``: the menu entry that becomes the saved default; empty: leave it.
    ``clear``: nothing is pending any more. ``fault``: what the server and the administrator must know."""

    default: str
    clear: bool
    fault: str


def judge(pending: Optional[Pending], running: str) -> Verdict:
    """The node is up and well with kernel ``running``."""
    if pending is None:
        return Verdict("", False, "")
    if running == pending.new:
        return Verdict(pending.new_entry, True, "")
    if running == pending.old:
        what = "the node came up with kernel {} again: {} did not start, or was not tried"
        return Verdict("", False, what.format(pending.old, pending.new))
    return Verdict("", False, "the node runs kernel {}, neither {} nor {}".format(running, pending.old, pending.new))


class Switch(NamedTuple):
    """A new default for one boot: ``commands`` to run in the node's tree, and what to remember."""

    commands: Tuple[Tuple[str, ...], ...]
    pending: Optional[Pending]
    fault: str


def switch(text: str, running: str, new: str) -> Switch:
    """From the grub.cfg with the new kernel in it: how to start ``new`` once and ``running`` otherwise."""
    if new == running:
        return Switch((), None, "")
    entries = menu(text)
    old_entry, new_entry = entry_of(entries, running), entry_of(entries, new)
    if new_entry is None:
        return Switch((), None, "kernel {} is not in the boot menu".format(new))
    if old_entry is None:
        return Switch((), None, "the running kernel {} is not in the boot menu".format(running))
    if not keeps_default(text):
        return Switch(
            (), Pending(new, running, new_entry.id, old_entry.id),
            "the menu keeps no default (GRUB_DEFAULT=saved), so the newest kernel starts each time",
        )  # fmt: skip
    commands = (("grub-set-default", old_entry.id), ("grub-reboot", new_entry.id))
    return Switch(commands, Pending(new, running, new_entry.id, old_entry.id), "")


def to_try(planned: Sequence[str], running: str, changed: Iterable[bytes]) -> str:
    """The kernel that the node should start next, empty if that is the running one: the newest of the version if it
    came just now, or if the version has the running one no more. Whoever starts an older one on purpose keeps it."""
    newest = next(iter(planned), "")
    if not newest or not running or newest == running:
        return ""
    return newest if running not in planned or any(belongs(path, newest) for path in changed) else ""


def built(due: Iterable[Dict[str, Any]], planned: Iterable[Dict[str, str]]) -> Tuple[bytes, ...]:
    """Paths (no leading slash) of the initramfs that steps of a plan will make, each kernel's once."""
    lines = [step["argv"] for step in due if step["step"] == "RunInTarget" and step["argv"][0] in _BUILDERS]
    found = [
        each["initrd"].lstrip("/").encode("utf-8", "surrogateescape") for each in planned
        if each.get("initrd") and any(argv[-1] == "-P" or each["version"] in argv for argv in lines)
    ]  # fmt: skip
    return tuple(dict.fromkeys(found))


def belongs(path: bytes, version: str) -> bool:
    """Whether ``path`` (no leading slash) is a part of that kernel: its modules, or its files in /boot."""
    raw = version.encode("utf-8", "surrogateescape")
    for place in _MODULES:
        if path == place + raw or path.startswith(place + raw + b"/"):
            return True
    directory, _, name = path.rpartition(b"/")
    if directory not in (b"boot", b"boot/loader/entries"):
        return False
    at = name.find(b"-" + raw)
    return at >= 0 and name[at + len(raw) + 1 :] in (b"", b".img", b".hmac", b".conf", b".gz", b".efi", b".xz")


def owner(path: bytes) -> bytes:
    """The directory of the kernel whose modules ``path`` is among; empty if it is none of them."""
    for place in _MODULES:
        if path.startswith(place):
            return place + path[len(place) :].partition(b"/")[0]
    return b""


def held(running: str, pending: Optional[Pending]) -> Tuple[str, ...]:
    """Kernels that no update deletes: the running one, and both sides of a change that is not proven yet."""
    found = [running] + ([pending.old, pending.new] if pending else [])
    return tuple(dict.fromkeys(version for version in found if version))
