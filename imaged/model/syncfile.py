"""Files that the server keeps equal on nodes: what a site lists, what is sent, what a node answers."""

from attrs import field, frozen


@frozen
class SyncFile:
    """One entry of a list. ``path`` on the node; ``source`` on the server, empty: the same path.

    ``owner`` (``USER`` or ``USER:GROUP``) and ``mode`` (octal text) are those of the source where they are empty.
    ``then`` is a line for the shell of a node where it was changed. ``ids`` (``1000-59999``, ``all``) says which users
    or groups of a file of them are taken.
    """

    path: str
    source: str = ""
    owner: str = ""
    mode: str = ""
    then: str = ""
    ids: str = ""


@frozen
class Item:
    """A file as it is sent. ``merge``: users or groups, added by name. ``owner`` and ``group`` are names or numbers."""

    path: str
    sha256: str
    owner: str
    group: str
    mode: str
    merge: bool
    then: str
    content: bytes = field(repr=False)


@frozen
class Done:
    """What became of a file: ``same``, ``add``, ``change``, ``attributes``, ``merge`` or ``failed``, with a message."""

    path: str
    action: str
    message: str = ""


@frozen
class Ran:
    """A command of the list that was run, since something had changed."""

    command: str
    code: int
    message: str = ""


@frozen
class Synced:
    """A node's answer. ``said`` is what a person should know of merged users and groups."""

    files: tuple[Done, ...]
    said: tuple[str, ...] = ()
    ran: tuple[Ran, ...] = ()
