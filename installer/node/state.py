"""What a node keeps of us between two runs: files below /var/lib/imaged, each replaced by one rename(2)."""

import fcntl
import json
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional

from installer.node.errors import Failed, Refused
from installer.node.words import local

HOME = "var/lib/imaged"


class State(object):
    """The files of the tree at ``root`` (``/`` on a node that runs)."""

    def __init__(self, root: str) -> None:
        self.home = os.path.join(root, HOME)

    def path(self, name: str) -> str:
        """Where the file ``name`` is."""
        return os.path.join(self.home, name)

    def secret(self) -> str:
        """By which the node proves itself. Raises Failed where the node was not installed by imaged."""
        return self._needed("secret")

    def server(self) -> str:
        """The server's base URL, ``http://10.0.0.1:8080``. Raises Failed."""
        return self._needed("server").rstrip("/")

    def text(self, name: str) -> str:
        """One line; empty where there is no such file."""
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise Failed("cannot be read: {}".format(error), where=self.path(name)) from None

    def value(self, name: str) -> Optional[Dict[str, Any]]:
        """A JSON object; None where there is none, or none that is whole."""
        try:
            found = local(json.loads(self.text(name) or "null"))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def keep(self, name: str, content: str) -> None:
        """Write a file whole, for root's eyes, and wait until the disk has it."""
        temporary = self.path(name) + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self.path(name))

    def forget(self, name: str) -> None:
        """Remove a file that may be there."""
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            pass

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One of us at a time. The lock goes with its process. Raises Refused that names who holds it."""
        os.makedirs(self.home, 0o700, exist_ok=True)
        with open(os.open(self.path("lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = file.read().strip() or "?"
                raise Refused("process {} is at it already".format(who), where=self.path("lock")) from None
            file.truncate(0)
            file.write("{}\n".format(os.getpid()))
            file.flush()
            yield

    def _needed(self, name: str) -> str:
        text = self.text(name)
        if not text:
            hint = "This system was not installed by imaged, or not wholly: install the node again."
            raise Failed("is missing", where=self.path(name), hint=hint)
        return text
