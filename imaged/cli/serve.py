"""``imaged serve``: run the daemon in the foreground, as systemd wants it."""

import sys
from typing import Any, TextIO, cast

import click

from imaged.cli.context import Context
from imaged.store.events import speak_as


@click.command("serve")
@click.option("--debug", is_flag=True, help="Log also what is ignored: packets that get no answer, and why.")
@click.pass_obj
def command(context: Context, debug: bool) -> None:
    """Answer DHCP, TFTP, HTTP and rsync as the settings say, until SIGTERM or Ctrl-C. Logs to standard error."""
    settings = context.settings
    # Twisted is slow to import and installs its reactor when it is: only this verb pays for it.
    from twisted.internet import reactor as installed
    from twisted.logger import globalLogBeginner

    from imaged.daemon.app import Daemon

    speak_as("imaged serve")
    reactor = cast(Any, installed)
    daemon = Daemon(settings, reactor, context.path)
    globalLogBeginner.beginLoggingTo([log_to(sys.stderr, debug=debug)], redirectStandardIO=False)
    daemon.start()
    reactor.run()


def log_to(stream: TextIO, *, debug: bool) -> Any:
    """What Twisted is to hand its log events to. Anybody on the network can cause those of level debug."""
    from twisted.logger import FilteringLogObserver, LogLevel, LogLevelFilterPredicate, textFileLogObserver

    least: Any = LogLevelFilterPredicate(LogLevel.debug if debug else LogLevel.info)
    written: Any = textFileLogObserver(stream)
    return FilteringLogObserver(written, [least])
