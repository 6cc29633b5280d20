"""``imaged serve``: run the daemon in the foreground, as systemd wants it."""

import sys
from typing import Any, cast

import click

from imaged.cli.context import Context
from imaged.store.events import speak_as


@click.command("serve")
@click.pass_obj
def command(context: Context) -> None:
    """Answer DHCP, TFTP, HTTP and rsync as the settings say, until SIGTERM or Ctrl-C. Logs to standard error."""
    settings = context.settings
    # Twisted is slow to import and installs its reactor when it is: only this verb pays for it.
    from twisted.internet import reactor as installed
    from twisted.logger import globalLogBeginner, textFileLogObserver

    from imaged.daemon.app import Daemon

    speak_as("imaged serve")
    reactor = cast(Any, installed)
    daemon = Daemon(settings, reactor, context.path)
    log: Any = textFileLogObserver(sys.stderr)
    globalLogBeginner.beginLoggingTo([log], redirectStandardIO=False)
    daemon.start()
    reactor.run()
