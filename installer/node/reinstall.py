"""``imaged reinstall`` on a node: brings the boot ramdisk and starts it, by kexec or by one entry in GRUB's menu."""

import hashlib
import os
import shutil
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from installer.node import trial
from installer.node.errors import DONE, Broken, Failed, Refused
from installer.node.process import run
from installer.node.server import Server
from installer.node.state import State
from installer.node.steps import write_atomically

ENTRY = "imaged-install"
CUSTOM = "/boot/grub/custom.cfg"  # what /etc/grub.d/41_custom has the menu read
MENU = "/boot/grub/grub.cfg"
_HOME = "/boot/imaged-install"
_MEMORY = "/run/imaged-install"  # for kexec, which needs it until it is loaded only
_BEGIN, _END = "# imaged: begin\n", "# imaged: end\n"


class Link(NamedTuple):
    """How this node reaches the server: interface, its MAC, its address with prefix length, the gateway or nothing."""

    device: str
    mac: str
    address: str
    gateway: str


def reinstall(root: str, by: str, static: bool, confirmed: bool, say: Callable[[str], None]) -> int:
    """Exit code. Raises Failed; then the machine goes on as it was."""
    if not confirmed:
        raise Refused("everything on the disks of this node may be wiped", hint="--yes does it.")
    if root != "/":
        raise Failed("only the running system can be left", where=root)
    state = State(root)
    with state.locked():
        server = Server(state.server(), state.secret())
        wanted = server.reinstall()
        how = way(by, shutil.which("kexec") is not None, os.path.exists(MENU), shutil.which("grub-reboot") is not None)
        home = _MEMORY if how == "kexec" else _HOME
        os.makedirs(home, mode=0o700, exist_ok=True)
        image, initrd = (_fetch(server, wanted[part], os.path.join(home, part)) for part in ("kernel", "ramdisk"))
        arguments = command_line(wanted["arguments"], _link(server.host, say), static)
        for argv in _load(how, image, initrd, arguments, say):
            run(argv, say)
        systemd = os.path.isdir("/run/systemd/system")
        run(trial.soon(leave(how, systemd), systemd), say)
    sys.stdout.write("starts the installer by {} in a moment\n".format(how))
    return DONE


def way(by: str, kexec: bool, menu: bool, grub_reboot: bool) -> str:
    """``kexec`` or ``menu``. Pure. Raises Failed when neither can be."""
    if by in ("auto", "kexec") and kexec:
        return "kexec"
    if by in ("auto", "menu") and menu and grub_reboot:
        return "menu"
    missing = {"kexec": "kexec is not installed", "menu": "there is no {} or no grub-reboot".format(MENU)}
    what = missing.get(by) or "{}, and {}".format(missing["kexec"], missing["menu"])
    raise Failed(what, where="--by {}".format(by), hint="Install kexec-tools, or boot it from the network or a medium.")


def command_line(arguments: str, link: Link, static: bool) -> str:
    """The server's, and by which card and address this node is reached now. Pure."""
    dashed = link.mac.replace(":", "-")
    words = ["rdinit=/sbin/imaged-init", "BOOTIF=01-" + dashed]
    if static:
        address, _, bits = link.address.partition("/")
        words.append("ip={}::{}:{}::{}:off".format(address, link.gateway, netmask(int(bits or "32")), dashed))
    return " ".join(words + [arguments])


def netmask(bits: int) -> str:
    """``255.255.255.0`` of 24. Pure."""
    mask = (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF
    return ".".join(str(mask >> shift & 255) for shift in (24, 16, 8, 0))


def with_entry(custom: str, image: str, initrd: str, arguments: str) -> str:
    """GRUB's file of own entries with ours, in place of an earlier one; paths as GRUB sees them. Pure."""
    before, begin, rest = custom.partition(_BEGIN)
    kept = before + rest.partition(_END)[2] if begin else custom
    entry = (
        "menuentry 'imaged: install this node' --id {} {{\n    search --no-floppy --set=root --file {}\n"
        "    linux {} {}\n    initrd {}\n}}\n"
    ).format(ENTRY, image, image, arguments, initrd)
    return kept + ("" if not kept or kept.endswith("\n") else "\n") + _BEGIN + entry + _END


def leave(how: str, systemd: bool) -> Tuple[str, ...]:
    """The command that ends the running system. Pure."""
    if how == "kexec":
        return ("systemctl", "kexec") if systemd else ("kexec", "--exec")
    return ("systemctl", "reboot") if systemd else ("reboot",)


def link_of(route: str, addresses: str, default: str, mac: str) -> Link:
    """From what ``ip -4 -o route get``, ``ip -4 -o address show`` and ``ip -4 route show default`` print. Pure."""
    device, source = _after(route, "dev"), _after(route, "src")
    if not device or not source:
        raise Failed("the way to the server is not known", where=route.strip()[:100])
    found = [word for word in addresses.split() if word.split("/")[0] == source and "/" in word]
    return Link(device, mac, found[0] if found else source + "/32", _after(default, "via"))


def _load(how: str, image: str, initrd: str, arguments: str, say: Callable[[str], None]) -> Sequence[Tuple[str, ...]]:
    if how == "kexec":
        # Under Secure Boot only the system call that checks the kernel's signature is let through.
        return [("kexec", "--load", "--kexec-syscall-auto", image, "--initrd=" + initrd, "--command-line=" + arguments)]
    seen = [run(("grub-mkrelpath", path), say).output.strip() for path in (image, initrd)]
    try:
        with open(CUSTOM, encoding="utf-8", errors="surrogateescape") as file:
            custom = file.read()
    except FileNotFoundError:
        custom = ""
    text = with_entry(custom, seen[0], seen[1], arguments)
    write_atomically(CUSTOM, text.encode("utf-8", "surrogateescape"), 0o600)  # it holds a token
    return [("grub-reboot", ENTRY)]


def _link(host: str, say: Callable[[str], None]) -> Link:
    route = run(("ip", "-4", "-o", "route", "get", host), say).output
    device = _after(route, "dev")
    addresses = run(("ip", "-4", "-o", "address", "show", "dev", device or "lo"), say).output
    default = run(("ip", "-4", "route", "show", "default", "dev", device or "lo"), say).output
    with open("/sys/class/net/{}/address".format(device or "lo"), encoding="ascii") as file:
        return link_of(route, addresses, default, file.read().strip())


def _fetch(server: Server, part: Dict[str, Any], target: str) -> str:
    """Bring a file and prove it. Raises Broken."""
    total = hashlib.sha256()
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for block in server.blocks(part["path"]):
            total.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if total.hexdigest() != part["sha256"]:
        os.unlink(target)
        raise Broken("is not what the server spoke of", where=part["path"], hint="Try it again.")
    return target


def _after(text: str, word: str) -> str:
    words: List[str] = text.split()
    at: Optional[int] = words.index(word) if word in words else None
    return words[at + 1] if at is not None and at + 1 < len(words) else ""
