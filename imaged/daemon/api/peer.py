"""Who came by the local socket, as the kernel says (unix(7), SO_PEERCRED)."""

import grp
import os
import pwd
import socket
import struct
from collections.abc import Mapping
from typing import Any

from imaged.model.access import Caller, Role
from imaged.planning.access import by_user

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


def credentials(connection: socket.socket) -> tuple[int, int]:
    """User and group of the other side when it connected."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(found)
    return uid, gid


def caller(uid: int, gid: int, roles: Mapping[str, Role]) -> Caller | None:
    """What the user may do. Call it in a thread: users and groups may be a directory server's."""
    name = _name(uid)
    trusted = uid in (0, os.geteuid())
    groups = _groups(name, gid) if roles and not trusted else ()
    return by_user(name, groups, trusted=trusted, roles=roles)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _groups(user: str, gid: int) -> tuple[str, ...]:
    found = []
    for each in os.getgrouplist(user, gid):
        try:
            found.append(grp.getgrgid(each).gr_name)
        except KeyError:
            continue
    return tuple(found)


def socket_of(request: Any) -> socket.socket | None:
    """The connection that a request came by, if it is a local one."""
    connection = getattr(request.channel.transport, "socket", None)
    return connection if connection is not None and connection.family == socket.AF_UNIX else None
