"""What can go wrong on a node, as people and exit codes are told: what, where, what to do."""

from installer.node.words import readable

DONE, FAILED, USAGE, REFUSED, DRIFT, NO_SERVER = range(6)  # exit codes


class Failed(Exception):
    """Something a person can fix. Caught in ``main`` only."""

    code = FAILED

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        super(Failed, self).__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = "{}: {}".format(self.where, self.what) if self.where else self.what
        return readable("{}\n  {}".format(text, self.hint) if self.hint else text)


class BadUsage(Failed):
    """The arguments make no sense."""

    code = USAGE


class Refused(Failed):
    """A guard stopped it before the first write; ``--yes`` goes on."""

    code = REFUSED


class NoServer(Failed):
    """The server did not answer, or not with what it should."""

    code = NO_SERVER
