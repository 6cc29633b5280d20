"""What can go wrong on a node, as people and exit codes are told: what, where, what to do."""

import os

from installer.node.words import readable

DONE, FAILED, USAGE, REFUSED, DRIFT, NO_SERVER = range(6)  # exit codes


class Failed(Exception):
    """Something a person can fix. Caught in ``client``, which tells the server of it, and in ``main``."""

    code = FAILED

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        super(Failed, self).__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    @classmethod
    def of(cls, error: OSError) -> "Failed":
        """What the system refused, in its words and with the path."""
        where = error.filename if isinstance(error.filename, (str, bytes)) else ""
        return cls(error.strerror or str(error), where=os.fsdecode(where))

    def __str__(self) -> str:
        text = "{}: {}".format(self.where, self.what) if self.where else self.what
        return readable("{}\n  {}".format(text, self.hint) if self.hint else text)


class BadUsage(Failed):
    """The arguments make no sense."""

    code = USAGE


class Refused(Failed):
    """A guard stopped it before the first write; ``--yes`` goes on."""

    code = REFUSED


class Skipped(Failed):
    """A part that could not be done and that the rest does not need; people are told."""


class NoServer(Failed):
    """The server did not answer, or not with what it should."""

    code = NO_SERVER


class Broken(NoServer):
    """It began to answer, and what came was damaged or not all."""
