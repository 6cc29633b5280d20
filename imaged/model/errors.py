"""What can go wrong through somebody else's doing, and how it is said: what, where, and what to do."""


class ImagedError(Exception):
    """Something a person can fix.

    ``what`` is the fault in one sentence, ``where`` names the file, key, node or device, ``hint`` says what to do.
    Caught at two places only: the command line and the daemon's per-request edge.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class BadInput(ImagedError):
    """A file, key, name or argument that is not what it should be."""

    exit_code = 2


class NotFound(ImagedError):
    """The named thing does not exist."""

    exit_code = 3


class Conflict(ImagedError):
    """It exists already, is in use, or the state does not allow it."""

    exit_code = 4


class CannotPlan(ImagedError):
    """The layout and the image cannot be put on this hardware; nothing was touched."""

    exit_code = 5


class Denied(ImagedError):
    """The caller has not proved that it may do this."""

    exit_code = 6


class Nobody(Denied):
    """The caller has not proved who they are."""


class CommandFailed(ImagedError):
    """A child process ended badly, could not start, or took too long."""

    exit_code = 7


class Unreachable(ImagedError):
    """The other side did not answer."""

    exit_code = 8


class MalformedPacket(Exception):
    """The peer sent bytes that are not a packet of this protocol. Dropped, counted, never a traceback."""
