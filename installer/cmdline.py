"""PURE: what the boot script, the menu of a boot medium or a person put on the kernel's command line."""

import shlex
from urllib.parse import urlsplit

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.net import Mac
from imaged.model.wishes import Then, Wishes, parse_breaks

_WHERE = "kernel command line"
_HINT = "The boot script of imaged sets it; start this machine from the network."


@frozen
class Orders:
    """Where the server is, the one-time token, and the NIC that the machine booted from.

    ``medium`` is a boot medium's token, which is there instead of ``token``. ``rescue``: nothing is installed, nor with
    ``inventory``, by which the machine only tells its hardware.
    ``wishes`` are a person's, beside those that the server knows of.
    """

    server: str
    token: str
    boot_mac: Mac | None = None
    medium: str = ""
    rescue: bool = False
    inventory: bool = False
    wishes: Wishes = Wishes()

    @property
    def host(self) -> str:
        """The server's address, as rsync wants it (an IPv6 address keeps its brackets)."""
        host = urlsplit(self.server).hostname or ""
        return f"[{host}]" if ":" in host else host


def read(text: str) -> Orders:
    """Read ``/proc/cmdline``. Raises BadInput that names the parameter."""
    words = dict(_words(text))
    medium = words.get("imaged.medium", "")
    for name in ("imaged.server",) if medium else ("imaged.server", "imaged.token"):
        if not words.get(name):
            raise BadInput(f"{name}= is missing", where=_WHERE, hint=_HINT)
    server = words["imaged.server"].rstrip("/")
    try:
        url = urlsplit(server)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise BadInput(f"imaged.server={server!r} is not a URL", where=_WHERE, hint=_HINT)
    return Orders(
        server, words.get("imaged.token", ""), _boot_mac(words.get("BOOTIF", "")), medium,
        _said(words, "imaged.rescue"), _said(words, "imaged.inventory"), _wishes(words),
    )  # fmt: skip


def _said(words: dict[str, str], name: str) -> bool:
    return words.get(name, "0") not in ("0", "")


def _wishes(words: dict[str, str]) -> Wishes:
    """``imaged.break=fixups,mkfs:after imaged.then=shell``. Raises BadInput."""
    then = words.get("imaged.then") or Then.REBOOT.value
    if then not in {each.value for each in Then}:
        choices = ", ".join(each.value for each in Then)
        raise BadInput(f"imaged.then={then[:40]!r} is no way to end", where=_WHERE, hint=f"There are {choices}.")
    try:
        return Wishes(parse_breaks((words.get("imaged.break", ""),)), Then(then))
    except BadInput as error:
        raise BadInput(f"imaged.break: {error.what}", where=_WHERE, hint=error.hint) from None


def _words(text: str) -> list[tuple[str, str]]:
    """``name=value`` pairs; the kernel lets a value with spaces stand in double quotes."""
    try:
        words = shlex.split(text, posix=True)
    except ValueError:
        words = text.split()
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _boot_mac(text: str) -> Mac | None:
    """pxelinux's and iPXE's ``01-aa-bb-cc-dd-ee-ff``: the ARP hardware type (RFC 826) stands before the address."""
    try:
        return Mac.parse(text[3:] if len(text) == 20 else text)
    except BadInput:
        return None
