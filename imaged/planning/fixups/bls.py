"""Boot entries in files of their own (UAPI.1 Boot Loader Specification): the node's, named by its machine-id."""

import re

from imaged.model.host import Identity
from imaged.model.plan import MoveFile, RemovePath, Step, WriteFile
from imaged.planning.fixups.command_line import environment
from imaged.planning.fixups.efi import boot_path
from imaged.planning.fixups.loader import Loader, loader
from imaged.planning.fixups.systemd_boot import kernels_on_esp
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import initrd_of
from imaged.planning.fixups.words import whole
from imaged.planning.platforms import unified

_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_TOKEN = "/etc/kernel/entry-token"
_RESCUE = re.compile(rf"(/boot/\w+-0-rescue-)({_MACHINE_ID.pattern})(.*)")  # dracut's 51-dracut-rescue.install


def boot_entries_files(target: Target) -> tuple[Step, ...]:
    """Entries of the image rewritten, and new ones for kernels without one.

    An entry that kept the golden client's machine-id would sort before or after the node's own for ever, and kernels
    of later updates would not replace it. The same goes for the token by which kernel-install(8) names those.
    """
    if loader(target.facts) not in (Loader.GRUB2, Loader.SYSTEMD_BOOT) or not _reads_entries(target):
        return ()
    golden = {path: text for path, text in sorted(target.facts.texts.items()) if "/loader/entries/" in path}
    new = {_own_name(target, path): _rewritten(target, text) for path, text in golden.items()}
    for kernel in target.facts.kernels if _names_kernels_in_boot(target) else ():
        if not any(_is_for(text, kernel.version, kernel.image) for text in golden.values()):
            path = f"{_directory(target)}/{_prefix(target)}-{kernel.version}.conf"
            new[path] = _made(target, kernel.version, kernel.image, initrd_of(kernel, target.facts))
    gone = (RemovePath(path, "an entry by the golden client's name") for path in golden if path not in new)
    written = (WriteFile(path, text, reason="boot entry of the node's own") for path, text in new.items())
    return (*_own_token(target), *gone, *written)


def rescue_kernel(target: Target) -> tuple[Step, ...]:
    """Kernel and initramfs of Red Hat's rescue entry get the node's name, as their entry does: the next kernel package
    would make them once more, some 100 MB of /boot, and those that the image has would stay for ever. Its initramfs is
    for any hardware. Of several (the golden client was a clone itself) one is enough."""
    steps: dict[str, Step] = {}
    for match in _rescues(target):
        path, own = match[0], f"{match[1]}{target.machine_id}{match[3]}"
        again = RemovePath(path, "a rescue kernel by the name of another machine")
        steps[path if own in steps else own] = again if own in steps else MoveFile(path, own, "by the node's own name")
    return tuple(steps.values())


def _rescues(target: Target) -> list[re.Match[str]]:
    if _stays_golden(target):
        return []
    found = (match for path in sorted(target.facts.files) if (match := _RESCUE.fullmatch(path)))
    return [match for match in found if match[2] != target.machine_id]


def _own_token(target: Target) -> tuple[Step, ...]:
    token = target.facts.texts.get(_TOKEN, "").strip()
    if not _MACHINE_ID.fullmatch(token) or _stays_golden(target):
        return ()
    return (WriteFile(_TOKEN, f"{target.machine_id}\n", reason="kernels that come later get entries by this name"),)


def entry_of(target: Target, version: str) -> str:
    """Where the entry of a kernel lies; empty where the menu is not made of entries."""
    for step in boot_entries_files(target):
        if isinstance(step, WriteFile) and step.path.endswith(f"-{version}.conf"):
            return step.path
    return ""


def _reads_entries(target: Target) -> bool:
    if loader(target.facts) is Loader.SYSTEMD_BOOT:
        return True
    said = re.findall(r"(?m)^\s*GRUB_ENABLE_BLSCFG=[\"']?(\w+)", target.facts.texts.get("/etc/default/grub", ""))
    return said[-1:] == ["true"]


def _names_kernels_in_boot(target: Target) -> bool:
    return loader(target.facts) is Loader.GRUB2 or (kernels_on_esp(target) and not unified(target.facts))


def _directory(target: Target) -> str:
    if loader(target.facts) is Loader.SYSTEMD_BOOT and target.system.esp:
        return f"{target.system.esp.mount}/loader/entries"
    return "/boot/loader/entries"


def _prefix(target: Target) -> str:
    """kernel-install(8): the entry token, which may be a name that all machines share."""
    token = target.facts.texts.get(_TOKEN, "").strip()
    return token if token and not _MACHINE_ID.fullmatch(token) else target.machine_id


def _stays_golden(target: Target) -> bool:
    """The node has the golden client's machine-id, so that its names are the node's."""
    return target.host.identity is Identity.GOLDEN


def _own_name(target: Target, path: str) -> str:
    name = path.rpartition("/")[2]
    if not _stays_golden(target):
        name = re.sub(rf"{_MACHINE_ID.pattern}(?=-)", target.machine_id, name, count=1)
    return f"{_directory(target)}/{name}"


def _rewritten(target: Target, text: str) -> str:
    """Line by line: keys that say nothing of disks stay, in their order."""
    for match in _rescues(target):
        text = text.replace(f"0-rescue-{match[2]}", f"0-rescue-{target.machine_id}")
    lines, had_options = [], False
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        value = value.strip()
        if key in ("linux", "initrd"):
            line = f"{key} {_path(target, value)}"
        elif key == "machine-id" and not _stays_golden(target):
            line = f"machine-id {target.machine_id}"
        elif key == "options":
            if had_options:  # the specification allows several; all are one
                continue
            line, had_options = f"options {_options(target, _all_options(text))}", True
        lines.append(line)
    if not had_options:
        lines.append(f"options {_options(target, '')}")
    return "\n".join(lines) + "\n"


def _all_options(text: str) -> str:
    return " ".join(line.strip().partition(" ")[2] for line in text.splitlines() if line.strip().startswith("options "))


def _options(target: Target, words: str) -> str:
    """RHEL 8's ``$kernelopts`` is spelled out: an entry must start without GRUB's environment block."""
    return whole(words.replace("$kernelopts", environment(target).get("kernelopts", "")), target)


def _path(target: Target, value: str) -> str:
    """Kernels of /boot move with it; what lies elsewhere (/<token>/<version>/linux) is where it was. ``$tuned_initrd``
    and the like may follow."""
    path, _, rest = value.partition(" ")
    directory, _, name = path.rpartition("/")
    if directory == "" or directory.endswith("/boot") or directory == "/boot":
        path = f"{boot_path(target)}/{name}"
    return f"{path} {rest.strip()}".strip()


def _made(target: Target, version: str, image: str, initrd: str) -> str:
    title = target.facts.os_name or "Linux"
    said = next((t for p, t in sorted(target.facts.texts.items()) if "/loader/entries/" in p), "")
    words = _all_options(said) or target.facts.texts.get("/etc/kernel/cmdline", "")
    path = boot_path(target)
    return (
        f"title {title} ({version})\nversion {version}\n"
        f"linux {path}/{image.rpartition('/')[2]}\ninitrd {path}/{initrd.rpartition('/')[2]}\n"
        f"options {_options(target, words)}\n"
    )


def _is_for(text: str, version: str, image: str) -> bool:
    """By the version it states, else by the kernel it loads: Arch's entries state none."""
    lines = [line.split() for line in text.splitlines()]
    stated = [words[1] for words in lines if len(words) > 1 and words[0] == "version"]
    loaded = [words[1] for words in lines if len(words) > 1 and words[0] == "linux"]
    return version in stated or any(each.rpartition("/")[2] == image.rpartition("/")[2] for each in loaded)
