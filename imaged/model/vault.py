"""What of a node's identity must not be made anew when it is imaged again, and cannot be derived: private keys.

It travels between node and server on its own, in no plan, log or report.
"""

import base64
import binascii
import re

from attrs import field, frozen

from imaged.model.errors import BadInput

_PATH = re.compile(r"/etc/ssh/ssh_host_[a-z0-9-]{1,32}_key(-cert)?(\.pub)?")  # of any type that ssh-keygen(1) makes
_MODE = re.compile(r"0[0-7]{3}")
_BYTES, _FILES = 64 * 1024, 24


@frozen
class KeptFile:
    """One file; ``content`` in base64."""

    path: str
    mode: str
    content: str = field(repr=False)  # a traceback or a log line must not give it away

    @property
    def data(self) -> bytes:
        """The file's bytes. Raises BadInput."""
        try:
            return base64.b64decode(self.content, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput("is not base64", where=self.path) from None


@frozen
class KeptFiles:
    """All of them; none for a node that was never installed, or shall become another."""

    files: tuple[KeptFile, ...] = ()

    def checked(self) -> "KeptFiles":
        """Raises BadInput for anything that is no ssh host key: whoever sends this must not choose what is written."""
        if len(self.files) > _FILES:
            raise BadInput(f"{len(self.files)} files are more than a node's host keys")
        for each in self.files:
            if not belongs(each.path) or not _MODE.fullmatch(each.mode) or len(each.data) > _BYTES:
                raise BadInput("is no ssh host key", where=each.path[:80])
        return self


def belongs(path: str) -> bool:
    """Whether a file is one of these: a host key by the name that ssh-keygen(1) gives it."""
    return _PATH.fullmatch(path) is not None


def kept(path: str, mode: int, data: bytes) -> KeptFile:
    """A file as it is told."""
    return KeptFile(path, f"{mode & 0o777:04o}", base64.b64encode(data).decode())
