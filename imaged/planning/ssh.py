"""How nodes are reached by ssh: the text of an ssh_config(5) that names each one's address and host keys. Pure."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address

from attrs import frozen

from imaged.model.errors import BadInput

_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{1,200}={0,2}", re.ASCII)


@frozen
class Door:
    """A node's sshd. ``host_keys`` are the public keys that the node told us at its install (sshd(8)), maybe none.

    ``user``: the only one that there is, whoever the admin asked for.
    """

    node: str
    address: IPv4Address | None
    host_keys: tuple[str, ...] = ()
    user: str = ""


def host_key(text: str) -> str | None:
    """A public key that somebody unknown sent, None for an empty one. Raises BadInput for what is more, or none."""
    if text and not _KEY.fullmatch(text):
        raise BadInput(f"{text[:60]!r} is no public key", where="host_key")
    return text or None


def known_hosts(doors: Sequence[Door]) -> str:
    """known_hosts(5): a line for each key of each node, by the node's name."""
    return "".join(f"{door.node} {key}\n" for door in doors for key in door.host_keys)


def config(doors: Sequence[Door], *, known: str, user: str, key: str = "", options: Sequence[str] = ()) -> str:
    """ssh_config(5). ``known`` is the file of ``known_hosts``; ``options`` are the admin's, ``Key=value``: they win.

    A node whose keys we know must show one of them, whatever address it has now. One that never told us its keys is
    accepted as it is the first time and remembered in the user's own file.
    """
    lines = [_option(option) for option in options]
    for door in doors:
        lines.append(f"Host {door.node}")
        if door.user:
            lines.append(f"  User {door.user}")
        if door.address:
            lines.append(f"  HostName {door.address}")
        if door.host_keys:
            lines += [f"  HostKeyAlias {door.node}", f'  UserKnownHostsFile "{known}"', "  StrictHostKeyChecking yes"]
        else:
            lines.append("  StrictHostKeyChecking accept-new")
    lines += ["Host *", f"  User {user}", "  BatchMode yes", "  ConnectTimeout 20", "  ServerAliveInterval 15"]
    lines += ["  ServerAliveCountMax 4", "  LogLevel ERROR", "  GlobalKnownHostsFile /dev/null"]
    lines += [f'  IdentityFile "{key}"'] if key else []
    return "\n".join(lines) + "\n"


def _option(text: str) -> str:
    key, _, value = text.partition("=")
    return f"{key.strip()} {value.strip()}"
