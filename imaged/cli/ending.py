"""What it means to a verb to be told to end: the same as Ctrl-C, so that what it began is cleared away."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click


class _Ended(SystemExit):
    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextmanager
def cleared_away() -> Iterator[None]:
    """SIGTERM and SIGHUP (the terminal went away) end what runs inside by SystemExit, with a shell's exit code.

    One that is ignored stays so: that is what nohup(1) is for.
    """
    before = {
        each: signal.signal(each, _end)
        for each in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(each) is signal.SIG_DFL
    }
    try:
        yield
    except _Ended as ended:
        click.echo(f"imaged: ended by {signal.Signals(ended.number).name}", err=True)
        raise
    finally:
        for each, action in before.items():
            signal.signal(each, action)


def _end(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the second would break into the clearing
    raise _Ended(number)  # and nothing is printed here: the signal may have come while something was
