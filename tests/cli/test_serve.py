"""``imaged serve``: what it logs. What it answers is tested where each protocol is."""

import io

import pytest
from twisted.logger import Logger, LogLevel, LogPublisher

from imaged.cli.serve import log_to


@pytest.mark.parametrize("debug", [False, True])
def test_what_anybody_on_the_network_can_cause_is_logged_only_where_it_is_asked_for(debug: bool) -> None:
    stream, publisher = io.StringIO(), LogPublisher()
    publisher.addObserver(log_to(stream, debug=debug))
    log = Logger("imaged", observer=publisher)
    for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error):
        log.emit(level, "a line of {which}", which=level.name)
    said = [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()]
    assert said == ["debug"] * debug + ["info", "warn", "error"]
