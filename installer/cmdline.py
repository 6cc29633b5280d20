"""PURE: what the boot script put on the kernel's command line."""

import shlex
from urllib.parse import urlsplit

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.net import Mac

_HINT = "The boot script of imaged sets it; start this machine from the network."


@frozen
class Orders:
    """Where the server is, the one-time token, and the NIC that the machine booted from."""

    server: str
    token: str
    boot_mac: Mac | None = None

    @property
    def host(self) -> str:
        """The server's address, as rsync wants it (an IPv6 address keeps its brackets)."""
        host = urlsplit(self.server).hostname or ""
        return f"[{host}]" if ":" in host else host


def read(text: str) -> Orders:
    """Read ``/proc/cmdline``. Raises BadInput that names the parameter."""
    words = dict(_words(text))
    for name in ("imaged.server", "imaged.token"):
        if not words.get(name):
            raise BadInput(f"{name}= is missing", where="kernel command line", hint=_HINT)
    server = words["imaged.server"].rstrip("/")
    try:
        url = urlsplit(server)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise BadInput(f"imaged.server={server!r} is not a URL", where="kernel command line", hint=_HINT)
    return Orders(server, words["imaged.token"], _boot_mac(words.get("BOOTIF", "")))


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
